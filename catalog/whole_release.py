"""The rows of the view `catalogue` of one whole release, for its files.

The view looks up one source after the other, which is right for a few of them. Here the same expressions
(``columns.toml``) rest on what is put together for all sources at once. The tests hold both to the same values.
"""

from collections.abc import Iterator, Mapping
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
    SELECT n.flux_cm2_s IS NOT NULL AND m.flags & 1073741824 = 0
        AND m.signif_avg < coalesce((run.settings ->> 'network_flux_below_sigma')::double precision, 0) AS network
) h
CROSS JOIN LATERAL (
    SELECT reference_gev,
        power_law_density(m.flux_cm2_s, m."index", o.flux_range_gev[1], o.flux_range_gev[2], reference_gev) AS density
    -- OFFSET 0: worked out once, not once for each place where it is used.
    FROM (
        SELECT power_law_reference_gev(m."index", o.flux_range_gev[1], o.flux_range_gev[2]) OFFSET 0
    ) r (reference_gev)
    OFFSET 0
) law
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
# What a source has for each band and each time slice: a join for each of them. Put together as arrays by the server, as
# the view does it, they would take more than half of all the time.
_EACH = {
    "b": "LEFT JOIN band_flux b{k} ON b{k}.detection_id = s.detection_id AND b{k}.band = {number}",
    "nb": "LEFT JOIN network_band_flux nb{k} ON nb{k}.detection_id = s.detection_id AND nb{k}.band = {number}",
    "lc": "LEFT JOIN slice_flux lc{k} ON lc{k}.detection_id = s.detection_id AND lc{k}.slice = {number}",
}
_NUFNU = """band_nufnu(
    b{k}.flux_cm2_s, m."index",
    (%(emin_gev)s::double precision[])[{k}], (%(emax_gev)s::double precision[])[{k}]
)"""
# Elements of the view's arrays, of the k-th band or slice.
_ELEMENTS = {
    "b.flux_cm2_s": ("b{k}.flux_cm2_s",),
    "b.unc_flux_cm2_s": ("b{k}.unc_low_cm2_s", "b{k}.unc_high_cm2_s"),
    "b.sqrt_ts": ("b{k}.sqrt_ts",),
    "b.nufnu": (_NUFNU,),
    "nb.flux_cm2_s": ("nb{k}.flux_cm2_s",),
    "nb.unc_flux_cm2_s": ("nb{k}.unc_flux_cm2_s",),
    "lc.flux_cm2_s": ("lc{k}.flux_cm2_s",),
    "lc.unc_flux_cm2_s": ("lc{k}.unc_low_cm2_s", "lc{k}.unc_high_cm2_s"),
    "lc.sqrt_ts": ("lc{k}.sqrt_ts",),
}
# Only where a column asks for it: releases made before there were log-parabolas do not.
_CURVED = """
LEFT JOIN curved_spectrum cs ON cs.detection_id = s.detection_id
-- The function log_parabola_at, written out: one that gives a row is called for every row.
CROSS JOIN LATERAL (
    SELECT
        cs.density_cm2_s_gev * exp(-(cs.index + cs.curvature * x) * x) AS density,
        cs.index + 2 * cs.curvature * x AS index,
        sqrt(abs(
            cs.unc_index ^ 2 + 4 * x * cs.cov_index_curvature + (2 * x * cs.unc_curvature) ^ 2
        )) AS unc_index
    FROM (SELECT ln(law.reference_gev / cs.pivot_gev) OFFSET 0) e (x)
) lp
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
_LAST = (
    _COUNTERPARTS.format(alias="fgl", catalog="4FGL-DR2")
    + _COUNTERPARTS.format(alias="fhl", catalog="3FHL")
    + "WHERE s.version = %(version)s"
)
_OBSERVATION = """
SELECT run.observation_id AS observation,
    array_agg(k.band ORDER BY k.band) AS bands,
    array_agg(k.emin_gev ORDER BY k.band) AS emin_gev, array_agg(k.emax_gev ORDER BY k.band) AS emax_gev,
    (
        SELECT array_agg(t.slice ORDER BY t.slice) FROM time_slice t WHERE t.observation_id = run.observation_id
    ) AS slices
FROM release r
JOIN run ON run.id = r.run_id
LEFT JOIN energy_band k ON k.observation_id = run.observation_id
WHERE r.version = %s
GROUP BY run.observation_id
"""


def read_release(conn: Connection, version: str, columns: tuple[Column, ...]) -> dict[str, NDArray[Any]]:
    """Columns of a release by name, one row a source by right ascension, in their declared types.

    Raises
    ------
    catalog.bulk_read.ReadError
        If a text is wider than its column.
    """
    observation = dict(conn.exec_driver_sql(_OBSERVATION, (version,)).mappings().one())
    fields = [Field(c.name, c.sql, c.kind, c.width, c.shape, _elements(c)) for c in columns]
    body = _FROM + "\n".join(_joins(columns, observation))
    if any("lp." in c.sql or "cs." in c.sql for c in columns):
        body += _CURVED
    # Before the statistics know of a new release the planner would go through all bands again for each source.
    conn.exec_driver_sql("SET LOCAL enable_nestloop = off")
    found = read(conn, fields, body + _LAST, {"version": version, **observation})
    conn.exec_driver_sql("SET LOCAL enable_nestloop TO DEFAULT")
    # Sorted here: the server would sort whole rows, on disk.
    order = order_by_place(*(found[name] for name in ("RAJ2000", "DEJ2000", "Source_Name")))
    return {name: found.pop(name)[order] for name in list(found)}


def _elements(column: Column) -> tuple[str, ...]:
    """Expressions of a cell's elements, where `_joins` has them band by band or slice by slice; else none."""
    of_one = _ELEMENTS.get(column.sql, ())
    number = column.shape[0] if of_one else 0
    return tuple(element.format(k=k) for k in range(1, number + 1) for element in of_one)


def _joins(columns: tuple[Column, ...], observation: Mapping[str, Any]) -> Iterator[str]:
    """A join for each band and each time slice that a column asks for."""
    numbers = {"b": observation["bands"], "nb": observation["bands"], "lc": observation["slices"]}
    for alias, join in _EACH.items():
        asked = max(
            (c.shape[0] for c in columns if c.sql in _ELEMENTS and c.sql.startswith(f"{alias}.")), default=0
        )
        for k in range(asked):
            yield join.format(k=k + 1, number=numbers[alias][k])


def order_by_place(ra: NDArray[Any], dec: NDArray[Any], name: NDArray[Any]) -> NDArray[np.intp]:
    """Order by right ascension; where it is the same, by declination and name."""
    order = np.argsort(ra, kind="stable")
    same = ra[order][1:] == ra[order][:-1]
    ties = np.flatnonzero(np.append(same, False) | np.append(False, same))
    which = order[ties]
    order[ties] = which[np.lexsort([name[which], dec[which], ra[which]])]
    return order
