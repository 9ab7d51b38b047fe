-- The catalogue: one row for each released source, as before but for one line: what is measured as a disc has the
-- likelihood's flux.

CREATE OR REPLACE VIEW catalogue AS
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
    n.prob_real AS prob_real,
    m.signif_avg AS signif_avg,
    CASE WHEN h.network THEN n.flux_cm2_s ELSE m.flux_cm2_s END AS flux,
    CASE WHEN h.network THEN n.unc_flux_cm2_s ELSE m.unc_flux_cm2_s END AS unc_flux,
    CASE WHEN h.network THEN 'network' ELSE 'likelihood' END AS flux_method,
    m.flux_cm2_s AS flux_likelihood,
    m.unc_flux_cm2_s AS unc_flux_likelihood,
    n.flux_cm2_s AS flux_network,
    n.unc_flux_cm2_s AS unc_flux_network,
    n.sys_flux * n.flux_cm2_s AS sys_flux_network,
    CASE WHEN cs.ts_curvature > 9 THEN 'LogParabola' ELSE 'PowerLaw' END AS spectrumtype,
    1000 * law.reference_gev AS pivot_energy,
    law.density / 1000 AS pl_flux_density,
    law.density / 1000 * m.unc_flux_cm2_s / nullif(m.flux_cm2_s, 0) AS unc_pl_flux_density,
    m."index" AS pl_index,
    m.unc_index AS unc_pl_index,
    m.npred AS npred,
    b.flux_cm2_s AS flux_band,
    b.unc_flux_cm2_s AS unc_flux_band,
    b.nufnu AS nufnu_band,
    b.sqrt_ts AS sqrt_ts_band,
    nb.flux_cm2_s AS flux_band_network,
    nb.unc_flux_cm2_s AS unc_flux_band_network,
    v.variability_index AS variability_index,
    peak.sqrt_ts AS signif_peak,
    peak.flux_cm2_s AS flux_peak,
    peak.unc_high_cm2_s AS unc_flux_peak,
    peak.centre_met_s AS time_peak,
    peak.length_s AS peak_interval,
    lc.flux_cm2_s AS flux_history,
    lc.unc_flux_cm2_s AS unc_flux_history,
    lc.sqrt_ts AS sqrt_ts_history,
    CASE WHEN e.ts_ext >= 25 THEN s.source_name ELSE '' END AS extended_source_name,
    e.ext_radius_deg AS ext_radius,
    e.unc_ext_radius_deg AS unc_ext_radius,
    e.ts_ext AS ts_ext,
    c.bll AS prob_bll,
    c.fsrq AS prob_fsrq,
    c.psr AS prob_psr,
    c.pwn_snr AS prob_pwn_snr,
    c.fake AS prob_fake,
    class_code(c.bll, c.fsrq, c.psr, c.pwn_snr, c.fake) AS class1,
    cb.bll AS prob_bll_blind,
    cb.fsrq AS prob_fsrq_blind,
    cb.psr AS prob_psr_blind,
    cb.pwn_snr AS prob_pwn_snr_blind,
    cb.fake AS prob_fake_blind,
    n.sys_class AS sys_class,
    n.ra_deg AS ra_network,
    n.dec_deg AS dec_network,
    n.conf_68_semimajor_deg AS conf_68_semimajor_network,
    n.conf_68_semiminor_deg AS conf_68_semiminor_network,
    n.conf_95_semimajor_deg AS conf_95_semimajor_network,
    n.conf_95_semiminor_deg AS conf_95_semiminor_network,
    n.conf_posang_deg AS conf_posang_network,
    n.sys_pos_deg AS sys_pos_network,
    coalesce(fgl.name, '') AS assoc_fgl,
    fgl.sep_deg AS assoc_sep,
    fgl.prob AS assoc_prob,
    coalesce(fhl.name, '') AS assoc_fhl,
    m.flags | coalesce(n.flags, 0) AS flags,
    s.source_id AS source_id,
    lp.density / 1000 AS lp_flux_density,
    lp.density / 1000 * m.unc_flux_cm2_s / nullif(m.flux_cm2_s, 0) AS unc_lp_flux_density,
    lp.index AS lp_index,
    lp.unc_index AS unc_lp_index,
    cs.curvature AS lp_beta,
    cs.unc_curvature AS unc_lp_beta,
    sqrt(cs.ts_curvature) AS lp_sigcurv
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
LEFT JOIN curved_spectrum cs ON cs.detection_id = s.detection_id
LEFT JOIN variability v ON v.detection_id = s.detection_id
CROSS JOIN LATERAL (
    -- The one switch between the two fluxes, written down with each run: below this significance, the networks', but
    -- of discs the likelihood's always (the flag 1073741824, that no run of before has).
    SELECT n.flux_cm2_s IS NOT NULL AND m.flags & 1073741824 = 0
        AND m.signif_avg < coalesce((run.settings ->> 'network_flux_below_sigma')::double precision, 0) AS network
) h
CROSS JOIN LATERAL (
    SELECT reference_gev,
        power_law_density(m.flux_cm2_s, m."index", o.flux_range_gev[1], o.flux_range_gev[2], reference_gev) AS density
    FROM (SELECT power_law_reference_gev(m."index", o.flux_range_gev[1], o.flux_range_gev[2])) r (reference_gev)
) law
CROSS JOIN LATERAL log_parabola_at(cs, law.reference_gev) lp
CROSS JOIN LATERAL (
    SELECT
        array_agg(f.flux_cm2_s ORDER BY f.band) AS flux_cm2_s,
        array_agg(ARRAY[f.unc_low_cm2_s, f.unc_high_cm2_s] ORDER BY f.band) AS unc_flux_cm2_s,
        array_agg(f.sqrt_ts ORDER BY f.band) AS sqrt_ts,
        array_agg(band_nufnu(f.flux_cm2_s, m."index", k.emin_gev, k.emax_gev) ORDER BY f.band) AS nufnu
    FROM band_flux f
    LEFT JOIN energy_band k ON k.observation_id = o.id AND k.band = f.band
    WHERE f.detection_id = s.detection_id
) b
CROSS JOIN LATERAL (
    SELECT
        array_agg(f.flux_cm2_s ORDER BY f.band) AS flux_cm2_s,
        array_agg(f.unc_flux_cm2_s ORDER BY f.band) AS unc_flux_cm2_s
    FROM network_band_flux f
    WHERE f.detection_id = s.detection_id
) nb
CROSS JOIN LATERAL (
    -- A slice that was not measured keeps its place.
    SELECT
        array_agg(f.flux_cm2_s ORDER BY t.slice) AS flux_cm2_s,
        array_agg(ARRAY[f.unc_low_cm2_s, f.unc_high_cm2_s] ORDER BY t.slice) AS unc_flux_cm2_s,
        array_agg(f.sqrt_ts ORDER BY t.slice) AS sqrt_ts
    FROM time_slice t
    LEFT JOIN slice_flux f ON f.detection_id = s.detection_id AND f.slice = t.slice
    WHERE t.observation_id = o.id
) lc
LEFT JOIN LATERAL (
    SELECT f.flux_cm2_s, f.unc_high_cm2_s, f.sqrt_ts,
        (t.tstart_met_s + t.tstop_met_s) / 2 AS centre_met_s, t.tstop_met_s - t.tstart_met_s AS length_s
    FROM slice_flux f
    JOIN time_slice t ON t.observation_id = o.id AND t.slice = f.slice
    WHERE f.detection_id = s.detection_id AND f.unc_low_cm2_s IS NOT NULL
    ORDER BY f.flux_cm2_s DESC
    LIMIT 1
) peak ON true
LEFT JOIN LATERAL counterpart(s.detection_id, '4FGL-DR2') fgl ON true
LEFT JOIN LATERAL counterpart(s.detection_id, '3FHL') fhl ON true;
