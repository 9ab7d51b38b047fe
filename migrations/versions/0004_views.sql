-- Views made for people: what is measured, with units in the names, and the name each source has in the newest public
-- release. Each row of a view carries detection_id, by which they join.

CREATE FUNCTION newest_release() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT version FROM release WHERE status = 'public'
    ORDER BY published_at DESC, released_at DESC, version DESC LIMIT 1
$$;

CREATE FUNCTION utc_of_met(met_s double precision) RETURNS timestamp with time zone
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Mission elapsed time counts the seconds since 2001, leap seconds too; UTC as PostgreSQL keeps it does not.
RETURN timestamptz '2001-01-01 00:00:00+00' + make_interval(secs => met_s
    - (met_s >= 157766401)::integer - (met_s >= 252460802)::integer - (met_s >= 362793603)::integer
    - (met_s >= 457401604)::integer - (met_s >= 504921605)::integer);

CREATE VIEW detections AS
SELECT
    d.id AS detection_id,
    d.run_id,
    o.survey,
    s.source_name,
    m.ra_deg,
    m.dec_deg,
    m.glon_deg,
    m.glat_deg,
    m.conf_95_semimajor_deg,
    m.conf_95_semiminor_deg,
    m.conf_posang_deg,
    d.det_prob,
    n.prob_real,
    m.signif_avg,
    o.flux_range_gev[1] AS flux_emin_gev,
    o.flux_range_gev[2] AS flux_emax_gev,
    m.flux_cm2_s,
    m.unc_flux_cm2_s,
    n.flux_cm2_s AS network_flux_cm2_s,
    n.unc_flux_cm2_s AS network_unc_flux_cm2_s,
    m."index" AS pl_index,
    m.unc_index AS unc_pl_index,
    m.npred,
    e.ext_radius_deg,
    e.ts_ext,
    v.variability_index,
    c.bll AS prob_bll,
    c.fsrq AS prob_fsrq,
    c.psr AS prob_psr,
    c.pwn_snr AS prob_pwn_snr,
    c.fake AS prob_fake,
    none.prob AS prob_no_counterpart,
    m.flags | coalesce(n.flags, 0) AS flags,
    d.tile,
    m.x,
    m.y,
    m.z,
    m.hpx29
FROM detection d
JOIN measurement m ON m.detection_id = d.id
JOIN run ON run.id = d.run_id
JOIN observation o ON o.id = run.observation_id
LEFT JOIN release_source s ON s.detection_id = d.id AND s.version = (SELECT newest_release())
LEFT JOIN network_measurement n ON n.detection_id = d.id
LEFT JOIN class_probability c ON c.detection_id = d.id AND c.variant = 'full'
LEFT JOIN extension e ON e.detection_id = d.id
LEFT JOIN variability v ON v.detection_id = d.id
LEFT JOIN no_counterpart none ON none.detection_id = d.id;

CREATE VIEW associations AS
SELECT
    a.detection_id,
    d.run_id,
    s.source_name,
    k.name AS catalog,
    k.version AS catalog_version,
    r.name AS ref_name,
    r.source_class AS ref_class,
    r.association AS ref_association,
    r.extended AS ref_extended,
    r.signif_avg AS ref_signif_avg,
    r.glon_deg AS ref_glon_deg,
    r.glat_deg AS ref_glat_deg,
    a.sep_deg,
    a.prob,
    none.prob AS prob_none,
    a.matched_03,
    a.matched_05,
    r.id AS reference_source_id
FROM association a
JOIN detection d ON d.id = a.detection_id
JOIN reference_source r ON r.id = a.reference_source_id
JOIN reference_catalog k ON k.id = r.catalog_id
LEFT JOIN release_source s ON s.detection_id = a.detection_id AND s.version = (SELECT newest_release())
LEFT JOIN no_counterpart none ON none.detection_id = a.detection_id;

CREATE VIEW spectra AS
SELECT
    f.detection_id,
    d.run_id,
    s.source_name,
    f.band,
    b.emin_gev,
    b.emax_gev,
    f.flux_cm2_s,
    f.unc_low_cm2_s,
    f.unc_high_cm2_s,
    f.unc_low_cm2_s IS NULL AS upper_limit,
    band_nufnu(f.flux_cm2_s, m."index", b.emin_gev, b.emax_gev) AS nufnu_erg_cm2_s,
    f.sqrt_ts,
    f.npred,
    n.flux_cm2_s AS network_flux_cm2_s,
    n.unc_flux_cm2_s AS network_unc_flux_cm2_s
FROM band_flux f
JOIN detection d ON d.id = f.detection_id
JOIN measurement m ON m.detection_id = f.detection_id
JOIN run ON run.id = d.run_id
JOIN energy_band b ON b.observation_id = run.observation_id AND b.band = f.band
LEFT JOIN network_band_flux n ON n.detection_id = f.detection_id AND n.band = f.band
LEFT JOIN release_source s ON s.detection_id = f.detection_id AND s.version = (SELECT newest_release());

CREATE VIEW light_curves AS
SELECT
    f.detection_id,
    d.run_id,
    s.source_name,
    f.slice,
    t.tstart_met_s,
    t.tstop_met_s,
    utc_of_met(t.tstart_met_s) AS tstart,
    utc_of_met(t.tstop_met_s) AS tstop,
    o.flux_range_gev[1] AS flux_emin_gev,
    o.flux_range_gev[2] AS flux_emax_gev,
    f.flux_cm2_s,
    f.unc_low_cm2_s,
    f.unc_high_cm2_s,
    f.unc_low_cm2_s IS NULL AS upper_limit,
    f.sqrt_ts,
    f.npred,
    v.variability_index
FROM slice_flux f
JOIN detection d ON d.id = f.detection_id
JOIN run ON run.id = d.run_id
JOIN observation o ON o.id = run.observation_id
JOIN time_slice t ON t.observation_id = o.id AND t.slice = f.slice
LEFT JOIN variability v ON v.detection_id = f.detection_id
LEFT JOIN release_source s ON s.detection_id = f.detection_id AND s.version = (SELECT newest_release());
