"""What programs made for 4FGL look for: its other tables, and the catalogue in its layout."""

from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from catalog.formats.fits_tables import Card, TableColumn, TableHDU
from catalog.release import ReleaseRecord

# LAT times count from here (MJD, TT): 2001-01-01 00:00:00 UTC.
MET_ZERO: tuple[Card, ...] = (
    ("TIMESYS", "TT", "Time system"),
    ("MJDREFI", 51910, "Integer part of the MJD of time 0 (TT)"),
    ("MJDREFF", 7.428703703703703e-4, "Fraction of the MJD of time 0"),
    ("TIMEUNIT", "s", "Unit of time"),
)
# Columns of 4FGL-DR2 in its order, and Flux10000 where the energies are higher.
FGL_COLUMNS = """
Source_Name RAJ2000 DEJ2000 GLON GLAT Conf_68_SemiMajor Conf_68_SemiMinor Conf_68_PosAng Conf_95_SemiMajor
Conf_95_SemiMinor Conf_95_PosAng ROI_num Extended_Source_Name Signif_Avg Pivot_Energy Flux1000 Unc_Flux1000 Flux10000
Unc_Flux10000 Energy_Flux100 Unc_Energy_Flux100 SpectrumType PL_Flux_Density Unc_PL_Flux_Density PL_Index Unc_PL_Index
LP_Flux_Density Unc_LP_Flux_Density LP_Index Unc_LP_Index LP_beta Unc_LP_beta LP_SigCurv PLEC_Flux_Density
Unc_PLEC_Flux_Density PLEC_Index Unc_PLEC_Index PLEC_Expfactor Unc_PLEC_Expfactor PLEC_Exp_Index Unc_PLEC_Exp_Index
PLEC_SigCurv Npred Flux_Band Unc_Flux_Band nuFnu_Band Sqrt_TS_Band Variability_Index Signif_Peak Flux_Peak
Unc_Flux_Peak Time_Peak Peak_Interval Flux_History Unc_Flux_History Sqrt_TS_History ASSOC_FGL ASSOC_FHL ASSOC_GAM1
ASSOC_GAM2 ASSOC_GAM3 ASSOC_TEV CLASS1 ASSOC1 ASSOC2 Flags
""".split()  # noqa: SIM905


def extended_sources(table: Table) -> TableHDU:
    """Sources of the catalogue that are discs, under `Extended_Source_Name`; may be empty."""
    rows = table[np.asarray(table["Extended_Source_Name"]) != ""]

    def text(name: str, width: int, words: str, ucd: str, value: str) -> TableColumn:
        return TableColumn(name, f"{width}A", words, ucd, np.full(len(rows), value, dtype=f"U{width}"))

    def degrees(name: str, of: str, words: str, ucd: str, form: str = "E") -> TableColumn:
        return TableColumn(name, form, words, ucd, rows[of].value, "deg", "F9.5")

    angle = np.zeros(len(rows))
    return TableHDU(
        "ExtendedSources",
        [
            TableColumn("Source_Name", "20A", "Name", "meta.id;meta.main", rows["Source_Name"].value),
            degrees("RAJ2000", "RAJ2000", "Right ascension (ICRS)", "pos.eq.ra;meta.main", "D"),
            degrees("DEJ2000", "DEJ2000", "Declination (ICRS)", "pos.eq.dec;meta.main", "D"),
            degrees("GLON", "GLON", "Galactic longitude", "pos.galactic.lon", "D"),
            degrees("GLAT", "GLAT", "Galactic latitude", "pos.galactic.lat", "D"),
            text("Model_Form", 12, "Shape", "meta.code", "Disk"),
            degrees("Model_SemiMajor", "Ext_Radius", "Radius of the disc", "phys.angSize"),
            degrees("Model_SemiMinor", "Ext_Radius", "Radius of the disc", "phys.angSize"),
            TableColumn("Model_PosAng", "E", "Always 0: discs are round", "pos.posAng", angle, "deg", "F8.3"),
            text("Spatial_Function", 15, "Shape in the Fermi tools", "meta.code", "RadialDisk"),
            text("Spatial_Filename", 1, "Always blank: no template", "meta.code", ""),
            degrees("Unc_Ext_Radius", "Unc_Ext_Radius", "1 sigma error", "stat.error;phys.angSize"),
            TableColumn("TS_Ext", "E", "As in the catalogue", "stat.likelihood", rows["TS_Ext"].value),
        ],
    )


def history_start(record: ReleaseRecord) -> TableHDU:
    """Edges of the time slices, one more than there are slices."""
    slices = record.slices_met_s
    edges = [start for start, _ in slices] + [slices[-1][1]]
    column = TableColumn("Hist_Start", "D", "Start, mission elapsed time", "time.start", edges, "s")
    return TableHDU("Hist_Start", [column], MET_ZERO)


def in_fgl_layout(catalogue: TableHDU) -> TableHDU:
    """The catalogue's table with 4FGL's columns alone, in 4FGL's order, marked as such."""
    by_name = {column.name: column for column in catalogue.columns}
    columns = [by_name[name] for name in FGL_COLUMNS if name in by_name]
    cards: Sequence[Card] = [
        ("CDS-NAME", "4FGL", "Layout of this table; the catalogue is ASID")
        if keyword == "CDS-NAME"
        else (keyword, value, comment)
        for keyword, value, comment in catalogue.cards
    ]
    return TableHDU(catalogue.name, columns, cards, catalogue.history)
