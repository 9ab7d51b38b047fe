"""Tables of a sample: what each method reaches, by significance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.characterisation import figures as fig
from benchmarks.characterisation.sample import Sample
from models.characterise import Characterisation
from models.cutouts import CLASSES, FAKE
from sky.frames import separation_deg

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

# Three classes as in the founding papers: active galaxies, pulsars, fakes.
THREE = {"AGN": (0, 1), "PSR": (2,), "FAKE": (FAKE,)}
STRONG_SIGMA = 10.0


def flux_table(sample: Sample, said: Characterisation | None) -> list[dict[str, Any]]:
    """Fluxes of true point sources, by significance and method."""
    assert sample.truths is not None
    point = sample.real & (sample.truths.extension_deg[sample.truth] == 0)
    truth = sample.truths.flux_cm2_s[sample.truth]
    methods = {
        "likelihood": (sample.measured.flux_cm2_s, sample.measured.unc_flux_cm2_s),
        "aperture": (sample.aperture_cm2_s, sample.unc_aperture_cm2_s),
    }
    if said is not None:
        methods["network"] = (said.flux_cm2_s, said.unc_flux_cm2_s)
    rows = []
    for label, mine in fig.sigma_bins(np.where(point, sample.measured.signif_avg, -1)):
        for name, (flux, error) in methods.items():
            rows.append({"sigma": label, "by": name} | fig.flux_figures(flux[mine], error[mine], truth[mine]))
    return rows


def position_table(sample: Sample, said: Characterisation | None) -> list[dict[str, Any]]:
    """Positions of true point sources, by significance and method."""
    assert sample.truths is not None
    point = sample.real & (sample.truths.extension_deg[sample.truth] == 0)
    methods: dict[str, Any] = {"likelihood": sample.measured}
    if said is not None:
        methods["network"] = said
    rows = []
    for label, mine in fig.sigma_bins(np.where(point, sample.measured.signif_avg, -1)):
        t = sample.truth[mine]
        for name, by in methods.items():
            ellipses = {
                level: (
                    getattr(by, f"conf_{level}_semimajor_deg")[mine],
                    getattr(by, f"conf_{level}_semiminor_deg")[mine],
                )
                for level in ("68", "95")
            }
            place = sample.truths.glon_deg[t], sample.truths.glat_deg[t]
            found = by.glon_deg[mine], by.glat_deg[mine]
            figures = fig.position_figures(*found, ellipses, by.conf_posang_deg[mine], place)
            rows.append({"sigma": label, "by": name} | figures)
    return rows


def extension_table(sample: Sample) -> list[dict[str, Any]]:
    """How often true points and true discs look extended, by significance."""
    assert sample.truths is not None
    wide = np.where(sample.real, sample.truths.extension_deg[sample.truth], np.nan)
    rows = []
    for kind, mine in (("points", wide == 0), ("extended by 0.1 deg or more", wide >= 0.1)):
        for label, some in fig.sigma_bins(np.where(mine, sample.measured.signif_avg, -1), fewest=3):
            ts = sample.extension.ts_ext[some]
            shares = {"above_9": float((ts > 9).mean()), "above_16": float((ts > 16).mean())}
            rows.append(
                {"truth": kind, "sigma": label, "n": len(ts), "largest_ts_ext": float(ts.max())} | shares
            )
    return rows


def reality_figures(probability: Array, real: NDArray[np.bool_], sigma: Array) -> dict[str, Any]:
    """Real or fake: `sigma` is the exact significance, 0 for fakes."""
    strong = real & (sigma > 5)
    return {
        "n": len(real),
        "real": float(real.mean()),
        "auc": fig.auc(probability, real),
        "auc_above_5_sigma": fig.auc(probability[strong | ~real], real[strong | ~real]),
        "calibration_error": fig.calibration_error(probability, real),
        "lost_above_5_sigma": float((probability[strong] < 0.5).mean()) if strong.any() else np.nan,
        "fakes_kept": float((probability[~real] >= 0.5).mean()),
        "reliability": fig.reliability(probability, real),
    }


def class_figures(probability: Array, truth: Ints, sigma: Array) -> dict[str, Any]:
    """Classes of detections; `sigma` is their significance."""
    best = probability.argmax(axis=1)
    strong = (sigma > STRONG_SIGMA) & (truth != FAKE)
    four = probability[strong, :FAKE].argmax(axis=1)
    blazar = strong & (truth < 2)
    return {
        "n": len(truth),
        "confusion": fig.confusion(best, truth, len(CLASSES)).tolist(),
        "balanced": fig.balanced_accuracy(fig.confusion(best, truth, len(CLASSES))),
        "three": three_balanced(probability, truth),
        "four_above_10_sigma": fig.balanced_accuracy(fig.confusion(four, truth[strong], FAKE)),
        "n_above_10_sigma": int(strong.sum()),
        "calibration_error": fig.class_calibration_error(probability, truth),
        "reliability": {
            name: fig.reliability(probability[:, c], truth == c) for c, name in enumerate(CLASSES)
        },
        "bll_fsrq_auc_above_10_sigma": fig.auc(
            probability[blazar, 0] / np.maximum(probability[blazar, :2].sum(1), 1e-12), truth[blazar] == 0
        ),
        "blazars_above_10_sigma": int(blazar.sum()),
    }


def three_balanced(probability: Array, truth: Ints) -> float:
    """Balanced accuracy on active galaxies, pulsars and fakes; PWN and SNR left out."""
    joined = np.stack([probability[:, list(codes)].sum(axis=1) for codes in THREE.values()], axis=-1)
    of = np.full(len(CLASSES), -1)
    for k, codes in enumerate(THREE.values()):
        of[list(codes)] = k
    mine = of[truth] >= 0
    return fig.balanced_accuracy(fig.confusion(joined[mine].argmax(1), of[truth[mine]], len(THREE)))


def shift_figures(one: Characterisation, two: Characterisation) -> dict[str, float]:
    """What changes between two emission models, for the same sources: 68 % of the shifts are smaller."""
    flux = np.log(two.flux_cm2_s / one.flux_cm2_s)
    place = separation_deg(one.glon_deg, one.glat_deg, two.glon_deg, two.glat_deg)
    return {
        "n": len(flux),
        "flux_median": float(np.median(flux)),
        "flux_68": float(np.percentile(np.abs(flux), 68)),
        "place_68_deg": float(np.percentile(place, 68)),
        "class_68": float(np.percentile(np.abs(two.class_prob - one.class_prob).max(1), 68)),
    }
