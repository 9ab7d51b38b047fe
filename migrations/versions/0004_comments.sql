-- What the views and their columns mean; docs/database.md is made from this.

COMMENT ON VIEW catalogue_latest IS
    'Sources of the newest public release, with the columns of the FITS catalogue in lower case; the headline flux is flux.';

COMMENT ON VIEW catalogue IS
    'Sources of all releases, with the columns of the FITS catalogue in lower case; the headline flux is flux.';

COMMENT ON VIEW detections IS 'Measured detections of all runs, released or not, one row each.';
COMMENT ON COLUMN detections.detection_id IS 'Number of the detection, by which the views join.';
COMMENT ON COLUMN detections.run_id IS 'Run that found it.';
COMMENT ON COLUMN detections.survey IS 'Survey of the run''s observation.';
COMMENT ON COLUMN detections.source_name IS 'Name in the newest public release; NULL if it is not in it.';
COMMENT ON COLUMN detections.ra_deg IS 'Right ascension (ICRS), deg.';
COMMENT ON COLUMN detections.dec_deg IS 'Declination (ICRS), deg.';
COMMENT ON COLUMN detections.glon_deg IS 'Galactic longitude, deg.';
COMMENT ON COLUMN detections.glat_deg IS 'Galactic latitude, deg.';
COMMENT ON COLUMN detections.conf_95_semimajor_deg IS
    'Semimajor axis of the 95 % error ellipse, deg; NULL where there is none.';
COMMENT ON COLUMN detections.conf_95_semiminor_deg IS 'Semiminor axis of the 95 % error ellipse, deg.';
COMMENT ON COLUMN detections.conf_posang_deg IS
    'Position angle of the ellipse, from celestial north through east, deg.';
COMMENT ON COLUMN detections.det_prob IS 'Score of the detector, 0 to 1.';
COMMENT ON COLUMN detections.prob_real IS
    'Calibrated probability that it is a source, by the networks; NULL where none ran.';
COMMENT ON COLUMN detections.signif_avg IS 'Significance by the likelihood ratio, sigma.';
COMMENT ON COLUMN detections.flux_emin_gev IS 'Lower end of the energies that its fluxes refer to, GeV.';
COMMENT ON COLUMN detections.flux_emax_gev IS 'Upper end of these energies, GeV.';
COMMENT ON COLUMN detections.flux_cm2_s IS 'Photon flux by the likelihood fit, cm-2 s-1.';
COMMENT ON COLUMN detections.unc_flux_cm2_s IS '1 sigma error of flux_cm2_s, cm-2 s-1.';
COMMENT ON COLUMN detections.network_flux_cm2_s IS 'Photon flux by the networks, cm-2 s-1; NULL where none ran.';
COMMENT ON COLUMN detections.network_unc_flux_cm2_s IS '1 sigma error of network_flux_cm2_s, cm-2 s-1.';
COMMENT ON COLUMN detections.pl_index IS 'Photon index of the power law.';
COMMENT ON COLUMN detections.unc_pl_index IS '1 sigma error of pl_index; NULL where it was fixed.';
COMMENT ON COLUMN detections.npred IS 'Predicted number of its photons, all bands.';
COMMENT ON COLUMN detections.ext_radius_deg IS 'Radius of the disc that fits best, deg; NULL where none was tried.';
COMMENT ON COLUMN detections.ts_ext IS 'Test statistic of a disc against a point.';
COMMENT ON COLUMN detections.variability_index IS
    '2 Delta lnL of a varying against a constant flux, as in 4FGL-DR2; NULL without time slices.';
COMMENT ON COLUMN detections.prob_bll IS 'Probability of a BL Lac object, by the networks; NULL where none ran.';
COMMENT ON COLUMN detections.prob_fsrq IS 'Probability of a flat-spectrum radio quasar.';
COMMENT ON COLUMN detections.prob_psr IS 'Probability of a pulsar.';
COMMENT ON COLUMN detections.prob_pwn_snr IS 'Probability of a pulsar wind nebula or supernova remnant.';
COMMENT ON COLUMN detections.prob_fake IS 'Probability of no source.';
COMMENT ON COLUMN detections.prob_no_counterpart IS
    'Probability that no reference catalogue of the run lists it; NULL where it was not associated.';
COMMENT ON COLUMN detections.flags IS 'Bits that ask for caution, as in the catalogue.';
COMMENT ON COLUMN detections.tile IS 'Tile that owns it: HEALPix cell, NESTED, order 3, galactic.';
COMMENT ON COLUMN detections.x IS 'ICRS unit vector.';
COMMENT ON COLUMN detections.y IS 'ICRS unit vector.';
COMMENT ON COLUMN detections.z IS 'ICRS unit vector.';
COMMENT ON COLUMN detections.hpx29 IS 'ICRS HEALPix cell, NESTED, order 29; hpx29 >> (58 - 2 k) is that of order k.';

COMMENT ON VIEW associations IS
    'Reference sources that may be the counterpart of a detection, all candidates within 0.5 degrees.';
COMMENT ON COLUMN associations.detection_id IS 'Number of the detection.';
COMMENT ON COLUMN associations.run_id IS 'Run that found it.';
COMMENT ON COLUMN associations.source_name IS 'Name in the newest public release; NULL if it is not in it.';
COMMENT ON COLUMN associations.catalog IS 'Reference catalogue.';
COMMENT ON COLUMN associations.catalog_version IS 'Its version.';
COMMENT ON COLUMN associations.ref_name IS 'Name of the reference source.';
COMMENT ON COLUMN associations.ref_class IS 'Its class, in its catalogue''s code; empty where it has none.';
COMMENT ON COLUMN associations.ref_association IS 'Its own counterpart, as its catalogue says.';
COMMENT ON COLUMN associations.ref_extended IS 'Whether its catalogue has it as extended.';
COMMENT ON COLUMN associations.ref_signif_avg IS 'Its significance there, sigma.';
COMMENT ON COLUMN associations.ref_glon_deg IS 'Its galactic longitude, deg.';
COMMENT ON COLUMN associations.ref_glat_deg IS 'Its galactic latitude, deg.';
COMMENT ON COLUMN associations.sep_deg IS 'Separation of both, deg.';
COMMENT ON COLUMN associations.prob IS
    'Probability that the detection is this object, all catalogues of the run taken together. Rows of one object, in one catalogue or several, do not exclude each other.';
COMMENT ON COLUMN associations.prob_none IS
    'Probability that the detection is in none of the catalogues; NULL for runs made before revision 0004.';
COMMENT ON COLUMN associations.matched_03 IS
    'Whether they are matched one to one, best pair first, within 0.3 degrees.';
COMMENT ON COLUMN associations.matched_05 IS 'The same within 0.5 degrees.';
COMMENT ON COLUMN associations.reference_source_id IS 'Number of the reference source.';

COMMENT ON VIEW spectra IS 'Photon flux of each detection in each energy band.';
COMMENT ON COLUMN spectra.detection_id IS 'Number of the detection.';
COMMENT ON COLUMN spectra.run_id IS 'Run that found it.';
COMMENT ON COLUMN spectra.source_name IS 'Name in the newest public release; NULL if it is not in it.';
COMMENT ON COLUMN spectra.band IS 'Number of the band, from 0.';
COMMENT ON COLUMN spectra.emin_gev IS 'Lower edge of the band, GeV.';
COMMENT ON COLUMN spectra.emax_gev IS 'Upper edge of the band, GeV.';
COMMENT ON COLUMN spectra.flux_cm2_s IS 'Photon flux in the band, cm-2 s-1.';
COMMENT ON COLUMN spectra.unc_low_cm2_s IS 'Lower 1 sigma error (negative), cm-2 s-1; NULL where upper_limit.';
COMMENT ON COLUMN spectra.unc_high_cm2_s IS 'Upper 1 sigma error, cm-2 s-1.';
COMMENT ON COLUMN spectra.upper_limit IS
    'Whether the flux is only limited: by flux_cm2_s + 2 unc_high_cm2_s, 2 sigma, as in 4FGL.';
COMMENT ON COLUMN spectra.nufnu_erg_cm2_s IS
    'E^2 dN/dE at the middle of the band, of a power law of the source''s index, erg cm-2 s-1.';
COMMENT ON COLUMN spectra.sqrt_ts IS 'Square root of the test statistic in the band.';
COMMENT ON COLUMN spectra.npred IS 'Predicted number of its photons in the band.';
COMMENT ON COLUMN spectra.network_flux_cm2_s IS
    'Photon flux in the band by the networks, cm-2 s-1; NULL where none ran.';
COMMENT ON COLUMN spectra.network_unc_flux_cm2_s IS '1 sigma error of network_flux_cm2_s, cm-2 s-1.';

COMMENT ON VIEW light_curves IS
    'Photon flux of each detection in each time slice; no rows where time is not resolved.';
COMMENT ON COLUMN light_curves.detection_id IS 'Number of the detection.';
COMMENT ON COLUMN light_curves.run_id IS 'Run that found it.';
COMMENT ON COLUMN light_curves.source_name IS 'Name in the newest public release; NULL if it is not in it.';
COMMENT ON COLUMN light_curves.slice IS 'Number of the time slice, from 0.';
COMMENT ON COLUMN light_curves.tstart_met_s IS 'Start of the slice, mission elapsed time, s.';
COMMENT ON COLUMN light_curves.tstop_met_s IS 'End of the slice, mission elapsed time, s.';
COMMENT ON COLUMN light_curves.tstart IS 'Start of the slice, UTC.';
COMMENT ON COLUMN light_curves.tstop IS 'End of the slice, UTC.';
COMMENT ON COLUMN light_curves.flux_emin_gev IS 'Lower end of the energies of the flux, GeV.';
COMMENT ON COLUMN light_curves.flux_emax_gev IS 'Upper end of these energies, GeV.';
COMMENT ON COLUMN light_curves.flux_cm2_s IS 'Photon flux in the slice, cm-2 s-1.';
COMMENT ON COLUMN light_curves.unc_low_cm2_s IS 'Lower 1 sigma error (negative), cm-2 s-1; NULL where upper_limit.';
COMMENT ON COLUMN light_curves.unc_high_cm2_s IS 'Upper 1 sigma error, cm-2 s-1.';
COMMENT ON COLUMN light_curves.upper_limit IS
    'Whether the flux is only limited: by flux_cm2_s + 2 unc_high_cm2_s, 2 sigma, as in 4FGL.';
COMMENT ON COLUMN light_curves.sqrt_ts IS 'Square root of the test statistic in the slice.';
COMMENT ON COLUMN light_curves.npred IS 'Predicted number of its photons in the slice.';
COMMENT ON COLUMN light_curves.variability_index IS
    '2 Delta lnL of a varying against a constant flux, the same for all slices.';

COMMENT ON FUNCTION cone(double precision, double precision, double precision) IS
    'Sources of the newest public release within a radius of a galactic position (l, b, radius; degrees), the nearest first.';
COMMENT ON FUNCTION cone_of_run(integer, double precision, double precision, double precision) IS
    'The same among all measured detections of a run (run, l, b, radius).';
COMMENT ON FUNCTION match(text, double precision) IS
    'Sources of the newest public release and rows of a reference catalogue, table or view within a radius of them (name, radius in degrees); the row comes as JSON.';
COMMENT ON FUNCTION cone_search(regclass, double precision, double precision, double precision, name) IS
    'Ids and separations in any table with hpx29, x, y and z (table, l, b, radius, key column).';
COMMENT ON FUNCTION crossmatch(regclass, regclass, double precision, name, name) IS
    'All pairs of two such tables within a radius (few, many, radius, their key columns); let the first be the smaller.';
COMMENT ON FUNCTION newest_release() IS 'Version of the newest public release.';
COMMENT ON FUNCTION utc_of_met(double precision) IS
    'Date of a mission elapsed time (s since 2001), leap seconds counted.';
