"""Derive `sky/tables/population.npz` from 4FGL-DR2 (gll_psc_v27): parameters, classes, light curves, sizes.

Every source goes to one of the four simulated classes. Associated ones go by CLASS1; the others (blazars of
uncertain type, unassociated, rarer classes) are dealt out at random, with a recorded seed, by the posterior
of a Gaussian discriminant in spectral index, curvature, flux and latitude trained on the associated ones. Run
``python -m scripts.derive_population``.
"""

import json
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.stats import multivariate_normal

from sky.data import data_path
from sky.population import CLASSES

TABLES = Path(__file__).resolve().parent.parent / "sky" / "tables"
CATALOGUE = "catalogs/gll_psc_v27.fit.gz"
SEED = 20200511
MEMBERS = {"bll": ("bll",), "fsrq": ("fsrq",), "psr": ("psr",), "pwn": ("pwn", "snr", "spp")}
FORMS = ("PowerLaw", "LogParabola", "PLSuperExpCutoff")
SHAPES = {"Disk": 1, "2D Gaussian": 2, "Ring": 1, "Map": 1}  # rings and maps become discs of their size
BRIGHT_SIGMA = 1000.0**0.5
# Of constant sources 99 % are below it, for ten years (4FGL-DR2, header `VARMIN`): there a history is mostly noise.
VARIABLE = 21.67


def deal_classes(features: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Class of each source: its own where `known` >= 0, else drawn from the posterior; features [N, n]."""
    posterior = np.zeros((len(features), len(CLASSES)))
    for k in range(len(CLASSES)):
        own = features[known == k]
        posterior[:, k] = len(own) * multivariate_normal(own.mean(axis=0), np.cov(own.T)).pdf(features)
    cumulative = np.cumsum(posterior / posterior.sum(axis=1, keepdims=True), axis=1)
    drawn = (rng.uniform(size=(len(features), 1)) > cumulative).sum(axis=1)
    return np.where(known >= 0, known, drawn)


def intrinsic_history(flux: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Yearly fluxes over their mean, shrunk to the mean by the variance that the errors explain, [N, 10]."""
    mean = flux.mean(axis=1, keepdims=True)
    relative, noise = flux / mean, np.mean((error / mean) ** 2, axis=1, keepdims=True)
    variance = relative.var(axis=1, keepdims=True, ddof=1)
    shrink = np.sqrt(np.clip(variance - noise, 0, None) / variance)
    return np.clip(1 + np.nan_to_num(shrink * (relative - 1)), 0.01, None)  # no errors, no variability


def main() -> None:
    """Derive and write the table."""
    with fits.open(data_path(CATALOGUE)) as file:
        rows, sizes = file["LAT_Point_Source_Catalog"].data, file["ExtendedSources"].data
    rows = rows[np.isfinite(rows["LP_Index"])]
    label = np.char.lower(np.char.strip(np.asarray(rows["CLASS1"], str)))
    known = np.full(len(rows), -1)
    for k, code in enumerate(CLASSES):
        known[np.isin(label, MEMBERS[code])] = k
    log_flux, glat = np.log10(rows["Flux1000"]), rows["GLAT"]
    features = np.array([rows["LP_Index"], rows["LP_beta"], log_flux, np.arcsinh(np.abs(glat) / 2)]).T
    dealt = deal_classes(features, known, np.random.default_rng(SEED))

    form = [FORMS.index(s) for s in np.char.strip(np.asarray(rows["SpectrumType"], str))]
    columns = {
        "pivot_gev": rows["Pivot_Energy"] / 1e3,
        "flux1000": rows["Flux1000"],
        "glon_deg": rows["GLON"],
        "glat_deg": rows["GLAT"],
        "pl_k": rows["PL_Flux_Density"] * 1e3,
        "pl_index": rows["PL_Index"],
        "lp_k": rows["LP_Flux_Density"] * 1e3,
        "lp_alpha": rows["LP_Index"],
        "lp_beta": rows["LP_beta"],
        "plec_k": rows["PLEC_Flux_Density"] * 1e3,
        "plec_index": rows["PLEC_Index"],
        "plec_expfactor": rows["PLEC_Expfactor"],
        "plec_exp_index": rows["PLEC_Exp_Index"],
    }

    bright = (rows["Signif_Avg"] > BRIGHT_SIGMA) & (known >= 0)
    upper_error = rows["Unc_Flux_History"][..., 1]  # the lower one is missing where there is but a limit
    history = intrinsic_history(rows["Flux_History"].astype(float), upper_error.astype(float))
    own_history = np.where(rows["Variability_Index"][:, None] > VARIABLE, history, 1.0)

    by_name = {n: i for i, n in enumerate(sizes["Source_Name"])}
    extended = [by_name.get(n, -1) for n in np.char.strip(np.asarray(rows["Extended_Source_Name"], str))]
    shape = np.array([SHAPES[sizes["Model_Form"][i].strip()] if i >= 0 else 0 for i in extended], np.uint8)
    size = np.array([sizes["Model_SemiMajor"][i] if i >= 0 else 0.0 for i in extended])

    np.savez_compressed(
        TABLES / "population.npz",
        origin=json.dumps({"script": "scripts/derive_population.py", "file": CATALOGUE, "seed": SEED}),
        name=np.char.strip(np.asarray(rows["Source_Name"], str)).astype("S18"),
        associated=known.astype(np.int8),
        class_code=dealt.astype(np.uint8),
        form=np.array(form, np.uint8),
        shape=shape,
        size_deg=size.astype(np.float32),
        own_history=own_history.astype(np.float16),
        history=history[bright].astype(np.float16),
        history_class=known[bright].astype(np.uint8),
        **{k: np.asarray(v, np.float32) for k, v in columns.items()},  # type: ignore[arg-type]
    )
    print({c: (int((known == k).sum()), int((dealt == k).sum())) for k, c in enumerate(CLASSES)})


if __name__ == "__main__":
    main()
