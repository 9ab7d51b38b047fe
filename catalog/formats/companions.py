"""FITS tables beside the catalogue: the detector's raw list, and the lineage of the sources."""

import numpy as np
from astropy.table import Table

from catalog.formats.fits_tables import TableColumn, TableHDU


def raw_list(table: Table) -> TableHDU:
    """All that the detector found (`catalog.release_lists.release_detections`)."""

    def column(
        name: str, of: str, form: str, text: str, ucd: str, unit: str = "", display: str = ""
    ) -> TableColumn:
        return TableColumn(name, form, text, ucd, table[of].value, unit, display)

    return TableHDU(
        "RawDetections",
        [
            column(
                "Tile", "tile", "J", "Tile that owns it (galactic HEALPix cell, order 3, NESTED)", "meta.id"
            ),
            column("Number", "ordinal", "J", "Its number in the tile", "meta.number"),
            column(
                "RAJ2000", "ra_deg", "D", "Right ascension (ICRS) of the peak", "pos.eq.ra", "deg", "F9.5"
            ),
            column("DEJ2000", "dec_deg", "D", "Declination (ICRS) of the peak", "pos.eq.dec", "deg", "F9.5"),
            column("GLON", "glon_deg", "D", "Galactic longitude", "pos.galactic.lon", "deg", "F9.5"),
            column("GLAT", "glat_deg", "D", "Galactic latitude", "pos.galactic.lat", "deg", "F9.5"),
            column(
                "Det_Prob", "det_prob", "E", "Score of the detector, 0 to 1", "stat.probability", "", "F6.4"
            ),
            column("TS", "ts", "E", "Test statistic of the detector", "stat.likelihood", "", "F10.3"),
            column(
                "Flux",
                "flux_cm2_s",
                "E",
                "Photon flux by the detector",
                "phot.flux;em.gamma",
                "cm-2 s-1",
                "E10.4",
            ),
            column("Source_Name", "source_name", "20A", "Source it became; blank if none", "meta.id"),
            column("Rejected", "rejected", "16A", "Why it is no source; blank if it is one", "meta.code"),
        ],
    )


def lineage(table: Table) -> TableHDU:
    """Identities of the sources (`catalog.release_lists.release_relations`)."""
    width = max(1, np.strings.str_len(table["version"].value).max(initial=0))

    def column(
        name: str, of: str, form: str, text: str, ucd: str, unit: str = "", display: str = ""
    ) -> TableColumn:
        return TableColumn(name, form, text, ucd, table[of].value, unit, display)

    return TableHDU(
        "Lineage",
        [
            column("Source_Name", "source_name", "20A", "Source of this catalogue", "meta.id;meta.main"),
            column("Source_ID", "source_id", "K", "Identity, the same in all releases", "meta.id"),
            column("Prev_Release", "version", f"{width}A", "Release before this one", "meta.version"),
            column(
                "Prev_Name",
                "previous_name",
                "20A",
                "Source of that release nearby; blank: none",
                "meta.id.assoc",
            ),
            column("Prev_ID", "previous_id", "K", "Its identity; 0: none", "meta.id.assoc"),
            column("Sep", "sep", "E", "Separation", "pos.angDistance", "deg", "F8.5"),
            column(
                "Sep_Sigma", "sigma", "E", "Separation, in sigma of both errors", "stat.value", "", "F8.3"
            ),
            column("Same", "same", "L", "It is the same source; else one split off or merged", "meta.code"),
        ],
    )
