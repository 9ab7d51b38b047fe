-- Power laws dN/dE = K (E / E0)^-index, known by their photon flux between two energies. Energies in GeV.

-- Each is one expression, not STRICT, without a subquery: so PostgreSQL writes it into the query that uses it.

CREATE FUNCTION power_law_reference_gev(index double precision, emin_gev double precision, emax_gev double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The energy where the density depends on the flux alone, not on the index: the mean of ln E over the photons.
    -- There the relative error of the density is that of the flux, whatever the two have in common with the index.
    SELECT CASE WHEN abs(index - 1) < 1e-6 THEN sqrt(emin_gev * emax_gev)
        ELSE exp((emin_gev ^ (1 - index) * ln(emin_gev) - emax_gev ^ (1 - index) * ln(emax_gev))
            / (emin_gev ^ (1 - index) - emax_gev ^ (1 - index)) + 1 / (index - 1))
    END
$$;

CREATE FUNCTION power_law_density(flux double precision, index double precision, emin_gev double precision,
                                  emax_gev double precision, at_gev double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Photons per GeV at an energy.
    SELECT CASE WHEN abs(index - 1) < 1e-6 THEN flux / (at_gev * ln(emax_gev / emin_gev))
        ELSE flux * (index - 1) * at_gev ^ -index / (emin_gev ^ (1 - index) - emax_gev ^ (1 - index))
    END
$$;

CREATE FUNCTION band_nufnu(flux double precision, index double precision, emin_gev double precision,
                           emax_gev double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- E^2 dN/dE in erg at the middle of a band (of ln E), of a power law with the band's photon flux.
    SELECT 1.602176634e-3 * CASE
        WHEN abs(index - 1) < 1e-6 THEN flux * sqrt(emin_gev * emax_gev) / ln(emax_gev / emin_gev)
        ELSE flux * (index - 1) * (emin_gev * emax_gev) ^ (1 - index / 2)
            / (emin_gev ^ (1 - index) - emax_gev ^ (1 - index))
    END
$$;

CREATE FUNCTION class_code(bll double precision, fsrq double precision, psr double precision,
                           pwn_snr double precision, fake double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The most probable class in 4FGL's code: spp is 4FGL's for what may be a PWN or an SNR, unk for what has none.
    SELECT CASE greatest(bll, fsrq, psr, pwn_snr, fake)
        WHEN fake THEN 'unk' WHEN bll THEN 'bll' WHEN fsrq THEN 'fsrq' WHEN psr THEN 'psr' WHEN pwn_snr THEN 'spp'
        ELSE ''
    END
$$;
