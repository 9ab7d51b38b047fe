"""Derive the interstellar emission templates and fit their norms to the real sky.

Writes `sky/tables/emission_gas.npz`, `emission_ic.npz` and `emission_p6v11.npz`: CO by Galactocentric ring
(Dame, Hartmann & Thaddeus 2001), HI4PI shared out between rings by an analytic disc (Kalberla & Kerp 2009,
ARA&A 47, 27), dust seen beyond that gas (Grenier et al. 2005, Science 307, 1292), inverse Compton of an
exponential halo, and p6v11. Norms are a weighted non-negative least-squares fit to the 413-week counts map
(2-20 GeV, PSF3), 4FGL-DR2 sources masked. Spectra split gll_iem_v07's in the inner Galaxy below 3.5 GeV and
follow the counts above 10 GeV beyond: gas inside and outside the solar circle apart, for the inner one is
harder (Acero et al. 2016, ApJS 223, 26). Run ``python -m scripts.derive_emission``.
"""

import json
from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from scipy.ndimage import map_coordinates
from scipy.optimize import nnls

from sky.data import data_path
from sky.mission import Mission, pattern_at, survey_mission
from sky.response import band_energies
from sky.survey import get_survey

TABLES = Path(__file__).resolve().parent.parent / "sky" / "tables"
SCRIPT = "scripts/derive_emission.py"
NSIDE = 128
SUN_KPC = 8.5
RING_EDGES_KPC = np.array([0.0, 5.0, 6.51, 8.0, 11.5, 50.0])
CO_RINGS_OF_GROUP = (slice(0, 4), slice(4, 5), slice(5, 6), slice(6, 7), slice(7, 9))
HALO_KPC = (1.0, 2.0, 4.0, 8.0)
COUNTS = "photons/lat_413wk_counts_2_20GeV_psf3_nside128.npy"
EXPOSURE = "exposure/lat_413wk_exposure_2_20GeV_psf3_nside128.npy"
P6V11 = "emission/p6v11_2_20GeV_counts_nside128.npy"
CO = "tracers/rbands_co10mm_v2_2001_qdeg_9R.fits.gz"
HI4PI = "tracers/h1_nh_HI4PI_healpix_lowres.fits"
DUST = "tracers/dust_ebv_SFD_healpix_lowres.fits"
GLL_IEM = "emission/gll_iem_v07_gc.fits.gz"
HARD_BANDS_GEV = ((10, 30), (30, 100), (100, 2000))
HARD_COUNTS = "photons/lat_8yr_counts_{}_{}GeV_nside1024.fits.gz"
INNER_GAS, OUTER_GAS, HALO = [0, 1, 2, 5, 6, 7], [3, 4, 8, 9, 10], [11, 12, 13, 14]
ISOTROPIC = "isotropic/iso_P8R2_ULTRACLEANVETO_V6_PSF3_v06.txt"
CATALOGUE = "catalogs/gll_psc_v27.fit.gz"


def lines_of_sight(nside: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Galactocentric radius and height along each line of sight [step, pixel], and the steps; kpc."""
    s = np.geomspace(0.005, 40.0, 400)[:, None]
    x, y, z = (s * axis for axis in hp.pix2vec(nside, np.arange(hp.nside2npix(nside))))
    return np.hypot(SUN_KPC - x, y), z, np.gradient(s[:, 0])[:, None]


def hi_ring_shares(nside: int) -> np.ndarray:
    """Share of each ring group in the column of a flaring HI disc, [5, pixel]."""
    radius, z, step = lines_of_sight(nside)
    scale = 0.15 / 1.18 * np.exp((radius - SUN_KPC) / 9.8)  # half width at half maximum 0.15 kpc at the Sun
    midplane = np.where(radius < 4, 0.5, np.where(radius < 13, 0.9, 0.9 * np.exp(-(radius - 13) / 3.15)))
    column = midplane * (0.15 / scale) * np.exp(-0.5 * (z / scale) ** 2) * step
    rings = np.digitize(radius, RING_EDGES_KPC) - 1
    return np.array([np.where(rings == k, column, 0).sum(axis=0) for k in range(5)]) / column.sum(axis=0)


def inverse_compton(nside: int) -> np.ndarray:
    """Emission of an exponential disc of radial scale 5 kpc, one map a halo height, mean 1, [4, pixel]."""
    radius, z, step = lines_of_sight(nside)
    maps = [(np.exp(-radius / 5.0 - np.abs(z) / h) * step).sum(axis=0) for h in HALO_KPC]
    return np.array([m / m.mean() for m in maps])


def co_groups(co: np.ndarray, nside: int) -> np.ndarray:
    """W(CO) of the five ring groups at the centres of a HEALPix grid, [5, pixel]."""
    lon, lat = hp.pix2ang(2 * nside, np.arange(hp.nside2npix(2 * nside)), lonlat=True)
    wrapped = np.pad(co, ((0, 0), (0, 0), (1, 1)), mode="wrap")
    place = [(lat + 89.875) / 0.25, (lon - 0.125) / 0.25 + 1]
    rings = [wrapped[ring].sum(axis=0) for ring in CO_RINGS_OF_GROUP]
    return np.array([hp.ud_grade(map_coordinates(r, place, order=1, mode="nearest"), nside) for r in rings])


def source_mask(nside: int) -> np.ndarray:
    """True away from the 4FGL-DR2 sources; brighter sources have wider holes."""
    rows = fits.getdata(data_path(CATALOGUE), 1)
    signif = np.nan_to_num(rows["Signif_Avg"], nan=100.0)
    radius_deg = np.array([0.5, 0.8, 1.2, 2.5, 4.0])[np.digitize(signif, [10, 30, 60, 200])]
    clear = np.ones(hp.nside2npix(nside), bool)
    for vec, r in zip(hp.ang2vec(rows["GLON"], rows["GLAT"], lonlat=True), radius_deg, strict=True):
        clear[hp.query_disc(nside, vec, np.radians(r))] = False
    return clear


def integral(energy_mev: np.ndarray, dnde: np.ndarray, low_mev: float, high_mev: float) -> float:
    """Integral of a tabulated spectrum, log-log between its points."""
    x = np.geomspace(low_mev, high_mev, 400)
    return float(np.trapezoid(log_log(x, energy_mev, dnde), x))


def log_log(x: np.ndarray, energy: np.ndarray, dnde: np.ndarray) -> np.ndarray:
    """Interpolation by power laws between the points of a spectrum."""
    return np.exp(np.interp(np.log(x), np.log(energy), np.log(dnde)))


def fit_norms(templates: np.ndarray, isotropic: float) -> np.ndarray:
    """Norms of templates [n, pixel] that reproduce the 2-20 GeV counts with the isotropic intensity given."""
    exposure = np.load(data_path(EXPOSURE)) * hp.nside2pixarea(NSIDE)
    counts, clear = np.load(data_path(COUNTS)), source_mask(NSIDE)
    model = (templates[:, clear] * exposure[clear]).T
    fixed = isotropic * exposure[clear]
    weight = np.full(clear.sum(), counts[clear].mean() ** -0.5)
    for _ in range(6):  # the weights are the model's, not the data's, or empty pixels would pull it down
        norms, _ = nnls(model * weight[:, None], (counts[clear] - fixed) * weight)
        weight = np.maximum(model @ norms + fixed, 0.3) ** -0.5
    return norms


def hard_factors(
    parts: np.ndarray, energy_gev: np.ndarray, spectra: list[np.ndarray], mission: Mission
) -> list:
    """Factors on spectra of parts [n, pixel], and on the isotropic, for the real counts, [n + 1][energy].

    Maximum-likelihood norms of each band (Poisson, by expectation maximisation), log-log between 3.5 GeV,
    where the fit between 2 and 20 GeV has most of its photons, and the bands' mean energies; constant beyond.
    """
    lon, lat = hp.pix2ang(NSIDE, np.arange(hp.nside2npix(NSIDE)), lonlat=True)
    area = pattern_at(lon, lat) * hp.nside2pixarea(NSIDE)
    clear = source_mask(NSIDE)
    nodes, norms = [3.5], [np.ones(len(parts) + 1)]
    for low, high in HARD_BANDS_GEV:
        fine = fits.getdata(data_path(HARD_COUNTS.format(low, high)), 1).field(0).ravel()
        counts = hp.reorder(fine.reshape(hp.nside2npix(NSIDE), -1).sum(axis=1), n2r=True)[clear]
        energy, width = band_energies(low, high)
        exposure = width * mission.mean_exposure_cm2_s("BOTH", energy)
        photons = np.array([np.sum(exposure * log_log(energy, energy_gev, s)) for s in spectra])
        isotropic = mission.isotropic_counts_sr("BOTH", low, high)
        model = np.vstack([photons[:, None] * parts[:, clear], np.full(clear.sum(), isotropic)]) * area[clear]
        norm = np.ones(len(model))
        for _ in range(1000):
            norm *= (model @ (counts / (norm @ model))) / model.sum(axis=1)
        nodes.append(1.55 * low)
        norms.append(norm)
    factors = np.log(np.maximum(norms, 0.05)).T
    return [np.exp(np.interp(np.log(energy_gev), np.log(nodes), f)) for f in factors]


def main() -> None:
    """Derive and write the three tables."""
    co = np.clip(fits.getdata(data_path(CO)).astype(float), 0, None).reshape(9, 720, 1440)
    n_hi = hp.read_map(data_path(HI4PI), dtype=float) / 1e20
    shares, halo = hi_ring_shares(64), inverse_compton(32)
    dust = hp.read_map(data_path(DUST), dtype=float)
    p6v11 = np.load(data_path(P6V11)) / np.load(data_path(EXPOSURE))
    p6v11 /= p6v11.mean()

    _, lat64 = hp.pix2ang(64, np.arange(hp.nside2npix(64)), lonlat=True)
    gas = np.array([n_hi, hp.ud_grade(co_groups(co, 128).sum(axis=0), 64)]).T
    clean = (np.abs(lat64) > 5) & (dust < 2)
    per_gas = np.linalg.lstsq(gas[clean], dust[clean], rcond=None)[0]
    dark = np.where(np.abs(lat64) > 2, np.clip(dust - gas @ per_gas, 0, 3), 0.0)

    lon, lat = hp.pix2ang(NSIDE, np.arange(hp.nside2npix(NSIDE)), lonlat=True)
    templates = np.array(
        [hp.get_interp_val(m, lon, lat, lonlat=True) for m in shares * n_hi]
        + list(co_groups(co, NSIDE))
        + [hp.get_interp_val(m, lon, lat, lonlat=True) for m in (dark, *halo)]
    )
    iso_mev, iso_dnde = np.loadtxt(data_path(ISOTROPIC), usecols=(0, 1), unpack=True)
    isotropic = integral(iso_mev, iso_dnde, 2e3, 2e4)
    norms = fit_norms(templates, isotropic)
    p6_norms = fit_norms(np.array([p6v11, np.ones_like(p6v11)]), isotropic)

    # Spectra: gll_iem_v07 of the inner Galaxy, less the inverse Compton that the fit sees there, is the
    # gas's.
    inner = (np.minimum(lon, 360 - lon) < 5) & (np.abs(lat) < 5)
    ic_share = norms[11:] @ templates[11:, inner].mean(axis=1) / (norms @ templates[:, inner].mean(axis=1))
    with fits.open(data_path(GLL_IEM)) as cube:
        e_mev, total = cube[1].data["ENERGY_TRUE"].astype(float), cube[0].data.mean(axis=(1, 2)).astype(float)
    ic = (e_mev / 3e3) ** -(2.15 + 0.06 * np.log(e_mev / 3e3))
    ic, total = ic / integral(e_mev, ic, 2e3, 2e4), total / integral(e_mev, total, 2e3, 2e4)

    energy = e_mev / 1e3
    gas, ic, total = 1e3 * (total - ic_share * ic) / (1 - ic_share), 1e3 * ic, 1e3 * total
    mission = survey_mission(get_survey("lat-10gev"), "P8R2_SOURCE_V6")
    parts = np.array([norms[group] @ templates[group] for group in (INNER_GAS, OUTER_GAS, HALO)])
    inner_factor, outer_factor, ic_factor, isotropic_factor = hard_factors(
        parts, energy, [gas, gas, ic], mission
    )
    p6_parts = np.array([p6_norms[0] * p6v11, np.full_like(p6v11, p6_norms[1])])
    p6_factor, uniform_factor, p6_isotropic_factor = hard_factors(p6_parts, energy, [total, ic], mission)

    small_scale = np.log(np.maximum(dust, 1e-3))
    power, ell = hp.anafast(small_scale, lmax=150), np.arange(30, 151)
    slope, log_power = np.polyfit(np.log(ell / 100.0), np.log(power[30:]), 1)

    origin = {"script": SCRIPT, "reference": "integral intensity 2-20 GeV, cm-2 s-1 sr-1"}
    np.savez_compressed(
        TABLES / "emission_gas.npz",
        origin=json.dumps(
            origin | {"files": [CO, HI4PI, DUST, COUNTS, EXPOSURE, GLL_IEM, CATALOGUE, ISOTROPIC]}
        ),
        co=np.where(co > 0.3, co, 0).astype(np.float16),
        n_hi=n_hi.astype(np.float16),
        hi_shares=np.rint(255 * shares).astype(np.uint8),
        dark=dark.astype(np.float16),
        hi_norms=norms[:5],
        co_norms=norms[5:10],
        dark_norm=norms[10],
        energy_gev=energy,
        inner_spectrum=gas * inner_factor,
        outer_spectrum=gas * outer_factor,
        isotropic_factor=isotropic_factor,
        small_scale=[np.exp(log_power), slope],
    )
    np.savez_compressed(
        TABLES / "emission_ic.npz",
        origin=json.dumps(origin | {"halo_kpc": HALO_KPC}),
        halo=halo.astype(np.float16),
        norms=norms[11:],
        energy_gev=energy,
        spectrum=ic * ic_factor,
    )
    np.savez_compressed(
        TABLES / "emission_p6v11.npz",
        origin=json.dumps(origin | {"files": [P6V11, EXPOSURE]}),
        shape=p6v11.astype(np.float16),
        norm=p6_norms[0],
        uniform=p6_norms[1],
        energy_gev=energy,
        spectrum=total * p6_factor,
        uniform_spectrum=ic * uniform_factor,
        isotropic_factor=p6_isotropic_factor,
    )
    print("HI", norms[:5], "CO", norms[5:10], "dark", norms[10], "IC", norms[11:], "p6v11", p6_norms)
    factors = {
        "inner": inner_factor,
        "outer": outer_factor,
        "ic": ic_factor,
        "isotropic": isotropic_factor,
        "p6v11": p6_factor,
        "uniform": uniform_factor,
        "isotropic with p6v11": p6_isotropic_factor,
    }
    for name, factor in factors.items():
        print(name, "at 15.5, 46.5, 155 GeV:", np.interp([15.5, 46.5, 155], energy, factor))
    print("small-scale power at l = 100 and slope", np.exp(log_power), slope, "IC share", ic_share)


if __name__ == "__main__":
    main()
