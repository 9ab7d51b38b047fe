"""Training skies of points of constant brightness, made by hand."""

import numpy as np

from models.training_sky import TrainingSky
from sky.survey import Survey


def point_sky(
    survey: Survey,
    vectors: np.ndarray,
    counts: np.ndarray,
    diffuse_sr: np.ndarray,
    psf_index: np.ndarray | None = None,
    flux_cm2_s: np.ndarray | None = None,
    class_code: np.ndarray | None = None,
) -> TrainingSky:
    n = len(vectors)
    slices = max(1, survey.time_slices)
    flux = counts.sum(1) * 1e-12 if flux_cm2_s is None else flux_cm2_s
    return TrainingSky(
        survey=survey,
        irfs=survey.irfs,
        diffuse_sr=diffuse_sr.astype(np.float32),
        vectors=vectors,
        counts=counts,
        psf_index=np.ones(counts.shape, int) if psf_index is None else psf_index,
        flux_cm2_s=flux,
        class_code=np.zeros(n, int) if class_code is None else class_code,
        flux_band_cm2_s=np.repeat(flux[:, None] / len(survey.bands), len(survey.bands), 1),
        shape=np.zeros(n, int),
        size_deg=np.zeros(n),
        light_curves=np.ones((n, slices)),
        slice_share=np.full(slices, 1 / slices),
        mean_exposure_cm2_s=np.full(len(survey.planes), 4e11),
    )
