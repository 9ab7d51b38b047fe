"""Draw the figures of `docs/simulation.md`: ``python -m scripts.figures_simulation``."""

from pathlib import Path
from typing import Any

import healpy as hp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

from sky.data import data_path
from sky.emission import EMISSION_MODELS, NSIDE, emission_model
from sky.population import CLASSES, SourceSample, draw_population
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import get_survey
from sky.variability import draw_light_curves

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"
NAMES = {"bll": "BLL", "fsrq": "FSRQ", "psr": "PSR", "pwn": "PWN, SNR"}
BANDS = ("10_30", "30_100", "100_2000")
CATALOGUE = "catalogs/gll_psc_v27.fit.gz"
MEMBERS = {"bll": ("bll",), "fsrq": ("fsrq",), "psr": ("psr",), "pwn": ("pwn", "snr", "spp")}


def save(figure: plt.Figure, name: str) -> None:
    """Write one figure, small enough for a repository."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / f"simulation_{name}.png", dpi=75, bbox_inches="tight")
    plt.close(figure)


def emission_models() -> None:
    """All-sky pictures of the three interstellar emission models, Hammer-Aitoff."""
    lon, lat = np.meshgrid(np.linspace(180, -180, 721), np.linspace(-90, 90, 361))
    figure, axes = plt.subplots(1, 3, figsize=(15, 3.2), subplot_kw={"projection": "aitoff"})
    for axis, name in zip(axes, EMISSION_MODELS, strict=True):
        total = np.sum(
            [c.intensity for c in emission_model(name, np.random.default_rng(1)).components], axis=0
        )
        image = total[hp.ang2pix(NSIDE, lon, lat, lonlat=True)]
        mesh = axis.pcolormesh(
            np.radians(-lon),
            np.radians(lat),
            np.log10(image),
            vmin=-7,
            vmax=-4.6,
            cmap="inferno",
            rasterized=True,
        )
        axis.set_title(name)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.colorbar(
        mesh, ax=axes, shrink=0.8, label="log intensity, 2-20 GeV\n(cm$^{-2}$ s$^{-1}$ sr$^{-1}$)"
    )
    save(figure, "emission")


def against_the_real_sky() -> None:
    """Latitude and longitude profiles and pixel counts above 10 GeV, real and simulated."""
    sky = synthetic_sky(get_survey("lat-10gev"), 1, "B1", "4fgl-dr2", extended=True)
    other = synthetic_sky(get_survey("lat-10gev"), 1, "B2", "4fgl-dr2", extended=True)
    lon, lat = hp.pix2ang(256, np.arange(hp.nside2npix(256)), nest=True, lonlat=True)
    lon = (lon + 180) % 360 - 180
    edges = np.concatenate([-np.geomspace(90, 0.5, 20), np.geomspace(0.5, 90, 20)])
    figure, axes = plt.subplots(3, 3, figsize=(15, 10))
    for row, (plane, name) in zip(axes, enumerate(BANDS), strict=True):
        real = (
            fits.getdata(data_path(f"photons/lat_8yr_counts_{name}GeV_nside1024.fits.gz"), 1).field(0).ravel()
        )
        maps = {"LAT, 8.2 years": real, **{s.emission.name: next(s.draw_counts(plane)) for s in (sky, other)}}
        for label, fine in maps.items():
            style = {"color": "black", "lw": 2} if fine is real else {"lw": 1.2}
            coarse = fine.reshape(-1, 16).sum(axis=1)
            profile = np.histogram(lat, edges, weights=coarse)[0] / np.diff(np.sin(np.radians(edges)))
            row[0].stairs(profile, edges, label=label, **style)
            near = np.abs(lat) < 5
            row[1].stairs(*np.histogram(lon[near], np.arange(-180, 181, 10), weights=coarse[near]), **style)
            number = np.bincount(np.minimum(fine.astype(int), 60))
            row[2].stairs(number, np.arange(len(number) + 1) + 0.5, **style)
        row[0].set(xscale="symlog", yscale="log", xlabel="b (deg)", ylabel="counts per sin b")
        row[0].set_title(f"{name.replace('_', '-')} GeV")
        row[1].set(xlim=(180, -180), yscale="log", xlabel="l (deg), |b| < 5 deg", ylabel="counts per 10 deg")
        row[2].set(
            xscale="log", yscale="log", xlabel="counts in a pixel of order 10, plus 1", ylabel="pixels"
        )
    axes[0, 0].legend(frameon=False)
    figure.tight_layout()
    save(figure, "real_sky")


def populations() -> None:
    """Number counts, indices, latitudes and variability of the classes against 4FGL-DR2."""
    rng = np.random.default_rng(1)
    samples = {name: draw_population(name, rng) for name in ("4fgl-dr2", "founding", "physical")}
    rows = fits.getdata(data_path(CATALOGUE), 1)
    label = np.char.lower(np.char.strip(rows["CLASS1"]))
    figure, axes = plt.subplots(4, 4, figsize=(16, 13))
    for code, column in zip(CLASSES, axes.T, strict=True):
        own = rows[np.isin(label, MEMBERS[code])]
        own = own[np.isfinite(own["LP_Index"]) & np.isfinite(own["PLEC_Index"])]
        column[0].set_title(NAMES[code])
        _class_counts(column[0], samples, code)
        drawn = samples["founding"].select(
            (samples["founding"].class_code == CLASSES.index(code)) & (samples["founding"].flux1000 > 2e-10)
        )
        index = own["PLEC_Index"] if code == "psr" else own["LP_Index"]
        curves = draw_light_curves(np.full(len(own), CLASSES.index(code)), 10, rng)
        bright = own[own["Signif_Avg"] > 31.6]["Flux_History"]
        pairs = [
            (index, drawn.spectrum.alpha, np.linspace(0, 3.5, 29), "photon index at the pivot"),
            (
                np.sin(np.radians(own["GLAT"])),
                np.sin(np.radians(drawn.glat_deg)),
                np.linspace(-1, 1, 41),
                "sin b",
            ),
            (
                (bright / bright.mean(axis=1, keepdims=True)).ravel(),
                curves.ravel(),
                np.geomspace(0.1, 8, 40),
                "year / mean",
            ),
        ]
        for axis, (real, simulated, edges, name) in zip(column[1:], pairs, strict=True):
            axis.hist(real, edges, density=True, color="0.8", label="4FGL-DR2")
            axis.hist(simulated, edges, density=True, histtype="step", color="C3", label="drawn")
            axis.set_xlabel(name)
        column[3].set_xscale("log")
    axes[0, 0].legend(frameon=False)
    axes[1, 0].legend(frameon=False)
    figure.tight_layout()
    save(figure, "populations")


def _class_counts(axis: plt.Axes, samples: dict[str, SourceSample], code: str) -> None:
    for name, sample in samples.items():
        flux = np.sort(sample.flux1000[sample.class_code == CLASSES.index(code)])[::-1]
        style: dict[str, Any] = {"color": "black", "lw": 2} if name == "4fgl-dr2" else {}
        axis.plot(flux, np.arange(1, len(flux) + 1), label=name, **style)
    axis.set(xscale="log", yscale="log", xlabel="F(1-100 GeV) (cm$^{-2}$ s$^{-1}$)", ylabel="N(> F)")


def a_six_band_sky() -> None:
    """What one synthetic sky of `lat-6band` looks like, FRONT, band by band."""
    sky: SyntheticSky = synthetic_sky(get_survey("lat-6band"), 1, "random", "physical", extended=True)
    lon, lat = np.meshgrid(np.linspace(180, -180, 721), np.linspace(-90, 90, 361))
    figure, axes = plt.subplots(2, 3, figsize=(15, 5.6), subplot_kw={"projection": "aitoff"})
    for b, (axis, band) in enumerate(zip(axes.ravel(), sky.survey.bands, strict=True)):
        counts = next(sky.draw_counts(sky.survey.planes.index((b, "FRONT"))))
        coarse = counts.reshape(hp.nside2npix(128), -1).sum(axis=1)
        image = coarse[hp.ang2pix(128, lon, lat, nest=True, lonlat=True)]
        axis.pcolormesh(
            np.radians(-lon), np.radians(lat), np.log10(image + 0.5), cmap="inferno", rasterized=True
        )
        axis.set_title(band.label)
        axis.set_xticks([])
        axis.set_yticks([])
    save(figure, "six_bands")


if __name__ == "__main__":
    emission_models()
    against_the_real_sky()
    populations()
    a_six_band_sky()
