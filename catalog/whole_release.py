"""The rows of the view `catalogue` of one whole release, for its files.

The view looks up one source after the other, which is right for a few of them. Here the same expressions
(``columns.toml``) rest on what is put together for all sources at once. The tests hold both to the same values.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog.bulk_read import Field, read
from catalog.columns import Column

_FROM = """
FROM release_source s
JOIN release r ON r.version = s.version
JOIN run ON run.id = r.run_id
JOIN observation o ON o.id = run.observation_id
JOIN detection d ON d.id = s.detection_id
JOIN measurement m ON m.detection_id = s.detection_id
LEFT JOIN network_measurement n ON n.detection_id = s.detection_id
LEFT JOIN class_probability c ON c.detection_id = s.detection_id AND c.variant = 'full'
LEFT JOIN class_probability cb ON cb.detection_id = s.detection_id AND cb.variant = 'blind'
LEFT JOIN extension e ON e.detection_id = s.detection_id
LEFT JOIN variability v ON v.detection_id = s.detection_id
CROSS JOIN LATERAL (
    SELECT n.flux_cm2_s IS NOT NULL
        AND m.signif_avg < coalesce((run.settings ->> 'network_flux_below_sigma')::double precision, 0) AS network
) h
CROSS JOIN LATERAL (
    SELECT reference_gev,
        power_law_density(m.flux_cm2_s, m."index", o.flux_range_gev[1], o.flux_range_gev[2], reference_gev) AS density
    FROM (SELECT power_law_reference_gev(m."index", o.flux_range_gev[1], o.flux_range_gev[2])) r (reference_gev)
) law
LEFT JOIN (
    SELECT f.detection_id,
        array_agg(f.flux_cm2_s ORDER BY f.band) AS flux_cm2_s,
        array_agg(ARRAY[f.unc_low_cm2_s, f.unc_high_cm2_s] ORDER BY f.band) AS unc_flux_cm2_s,
        array_agg(f.sqrt_ts ORDER BY f.band) AS sqrt_ts,
        array_agg(band_nufnu(f.flux_cm2_s, m."index", k.emin_gev, k.emax_gev) ORDER BY f.band) AS nufnu
    FROM band_flux f
    JOIN release_source s ON s.detection_id = f.detection_id AND s.version = %(version)s
    JOIN measurement m ON m.detection_id = f.detection_id
    LEFT JOIN energy_band k ON k.observation_id = %(observation)s AND k.band = f.band
    GROUP BY f.detection_id
) b ON b.detection_id = s.detection_id
LEFT JOIN (
    SELECT f.detection_id,
        array_agg(f.flux_cm2_s ORDER BY f.band) AS flux_cm2_s,
        array_agg(f.unc_flux_cm2_s ORDER BY f.band) AS unc_flux_cm2_s
    FROM network_band_flux f
    JOIN release_source s ON s.detection_id = f.detection_id AND s.version = %(version)s
    GROUP BY f.detection_id
) nb ON nb.detection_id = s.detection_id
LEFT JOIN (
    -- A slice that was not measured keeps its place.
    SELECT s.detection_id,
        array_agg(f.flux_cm2_s ORDER BY t.slice) AS flux_cm2_s,
        array_agg(ARRAY[f.unc_low_cm2_s, f.unc_high_cm2_s] ORDER BY t.slice) AS unc_flux_cm2_s,
        array_agg(f.sqrt_ts ORDER BY t.slice) AS sqrt_ts
    FROM release_source s
    JOIN time_slice t ON t.observation_id = %(observation)s
    LEFT JOIN slice_flux f ON f.detection_id = s.detection_id AND f.slice = t.slice
    WHERE s.version = %(version)s
    GROUP BY s.detection_id
) lc ON lc.detection_id = s.detection_id
LEFT JOIN (
    SELECT DISTINCT ON (f.detection_id) f.detection_id, f.flux_cm2_s, f.unc_high_cm2_s, f.sqrt_ts,
        (t.tstart_met_s + t.tstop_met_s) / 2 AS centre_met_s, t.tstop_met_s - t.tstart_met_s AS length_s
    FROM release_source s
    JOIN slice_flux f ON f.detection_id = s.detection_id
    JOIN time_slice t ON t.observation_id = %(observation)s AND t.slice = f.slice
    WHERE s.version = %(version)s AND f.unc_low_cm2_s IS NOT NULL
    ORDER BY f.detection_id, f.flux_cm2_s DESC
) peak ON peak.detection_id = s.detection_id
"""
_COUNTERPARTS = """
LEFT JOIN (
    SELECT DISTINCT ON (a.detection_id) a.detection_id, source.name, a.sep_deg, a.prob
    FROM association a
    JOIN release_source s ON s.detection_id = a.detection_id AND s.version = %(version)s
    JOIN reference_source source ON source.id = a.reference_source_id
    JOIN reference_catalog k ON k.id = source.catalog_id
    WHERE a.matched_05 AND k.name = '{catalog}'
    ORDER BY a.detection_id, k.id DESC
) {alias} ON {alias}.detection_id = s.detection_id
"""
_BODY = (
    _FROM
    + _COUNTERPARTS.format(alias="fgl", catalog="4FGL-DR2")
    + _COUNTERPARTS.format(alias="fhl", catalog="3FHL")
    + "WHERE s.version = %(version)s"
)
_OBSERVATION = "SELECT run.observation_id FROM release r JOIN run ON run.id = r.run_id WHERE r.version = %s"


def read_release(conn: Connection, version: str, columns: tuple[Column, ...]) -> dict[str, NDArray[Any]]:
    """Columns of a release by name, one row a source by right ascension, in their declared types.

    Raises
    ------
    catalog.bulk_read.ReadError
        If a text is wider than its column.
    """
    observation = conn.exec_driver_sql(_OBSERVATION, (version,)).scalar_one()
    fields = [Field(c.name, c.sql, c.kind, c.width, c.shape) for c in columns]
    found = read(conn, fields, _BODY, {"version": version, "observation": observation})
    # Sorted here: the server would sort whole rows, on disk.
    order = np.lexsort([found[name] for name in ("Source_Name", "DEJ2000", "RAJ2000")])
    return {name: found.pop(name)[order] for name in list(found)}
