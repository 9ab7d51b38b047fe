-- The catalogue: one row for each released source. The SELECT list is that of catalog/columns.toml, as it was then.

CREATE FUNCTION counterpart(of_detection bigint, in_catalog text)
RETURNS TABLE (name text, sep_deg double precision, prob double precision)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT source.name, a.sep_deg, a.prob
    FROM association a
    JOIN reference_source source ON source.id = a.reference_source_id
    JOIN reference_catalog c ON c.id = source.catalog_id
    WHERE a.detection_id = of_detection AND a.matched_05 AND c.name = in_catalog
    ORDER BY c.id DESC
    LIMIT 1
$$;

CREATE VIEW catalogue AS
SELECT
    s.version,
    s.detection_id,
    r.run_id,
    o.survey,
    s.source_name AS source_name,
    m.ra_deg AS raj2000,
    m.dec_deg AS dej2000,
    m.glon_deg AS glon,
    m.glat_deg AS glat,
    m.conf_68_semimajor_deg AS conf_68_semimajor,
    m.conf_68_semiminor_deg AS conf_68_semiminor,
    m.conf_posang_deg AS conf_68_posang,
    m.conf_95_semimajor_deg AS conf_95_semimajor,
    m.conf_95_semiminor_deg AS conf_95_semiminor,
    m.conf_posang_deg AS conf_95_posang,
    d.det_prob AS det_prob,
    m.signif_avg AS signif_avg,
    m.flux_cm2_s AS flux,
    m.unc_flux_cm2_s AS unc_flux,
    m."index" AS pl_index,
    m.unc_index AS unc_pl_index,
    m.npred AS npred,
    b.flux_cm2_s AS flux_band,
    b.unc_flux_cm2_s AS unc_flux_band,
    b.sqrt_ts AS sqrt_ts_band,
    coalesce(fgl.name, '') AS assoc_fgl,
    fgl.sep_deg AS assoc_sep,
    fgl.prob AS assoc_prob,
    coalesce(fhl.name, '') AS assoc_fhl,
    m.flags AS flags
FROM release_source s
JOIN release r ON r.version = s.version
JOIN run ON run.id = r.run_id
JOIN observation o ON o.id = run.observation_id
JOIN detection d ON d.id = s.detection_id
JOIN measurement m ON m.detection_id = s.detection_id
CROSS JOIN LATERAL (
    SELECT
        array_agg(f.flux_cm2_s ORDER BY f.band) AS flux_cm2_s,
        array_agg(ARRAY[f.unc_low_cm2_s, f.unc_high_cm2_s] ORDER BY f.band) AS unc_flux_cm2_s,
        array_agg(f.sqrt_ts ORDER BY f.band) AS sqrt_ts
    FROM band_flux f
    WHERE f.detection_id = s.detection_id
) b
LEFT JOIN LATERAL counterpart(s.detection_id, '4FGL-DR2') fgl ON true
LEFT JOIN LATERAL counterpart(s.detection_id, '3FHL') fhl ON true;

CREATE VIEW catalogue_latest AS
SELECT * FROM catalogue
WHERE version = (SELECT version FROM release ORDER BY released_at DESC, version DESC LIMIT 1);

CREATE FUNCTION cone(glon_deg double precision, glat_deg double precision, radius_deg double precision)
RETURNS TABLE (source_name text, glon double precision, glat double precision, sep_deg double precision,
               signif_avg double precision, flux double precision, unc_flux double precision,
               assoc_fgl text, assoc_prob double precision, detection_id bigint)
LANGUAGE sql STABLE STRICT ROWS 10 AS $$
    -- Sources of the latest release within a radius of a galactic position, the nearest first.
    SELECT c.source_name, c.glon, c.glat, found.sep_deg, c.signif_avg, c.flux, c.unc_flux,
           c.assoc_fgl, c.assoc_prob, c.detection_id
    FROM cone_search('measurement', $1, $2, $3, 'detection_id') found
    JOIN catalogue_latest c ON c.detection_id = found.id
    ORDER BY found.sep_deg, c.source_name
$$;

CREATE FUNCTION cone_of_run(run integer, glon_deg double precision, glat_deg double precision,
                            radius_deg double precision)
RETURNS TABLE (detection_id bigint, glon double precision, glat double precision, sep_deg double precision,
               signif_avg double precision, flux double precision, unc_flux double precision,
               assoc_fgl text, assoc_prob double precision)
LANGUAGE sql STABLE STRICT ROWS 10 AS $$
    -- Measured detections of a run, released or not, within a radius of a galactic position, the nearest first.
    SELECT d.id, m.glon_deg, m.glat_deg, found.sep_deg, m.signif_avg, m.flux_cm2_s, m.unc_flux_cm2_s,
           coalesce(fgl.name, ''), fgl.prob
    FROM cone_search('measurement', $2, $3, $4, 'detection_id') found
    JOIN measurement m ON m.detection_id = found.id
    JOIN detection d ON d.id = found.id
    LEFT JOIN LATERAL counterpart(d.id, '4FGL-DR2') fgl ON true
    WHERE d.run_id = $1
    ORDER BY found.sep_deg, d.id
$$;
