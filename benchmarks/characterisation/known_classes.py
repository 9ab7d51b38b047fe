"""Classes that the networks give detections of the real sky, against those of 4FGL-DR2."""

from typing import Any

import numpy as np
from astropy.io import fits

from benchmarks.characterisation.sample import Sample
from models.characterise import Characterisation
from models.cutouts import CLASSES
from models.evaluate import Positions, match
from sky.data import data_path

CATALOGUE = "catalogs/gll_psc_v27.fit.gz"
ROWS = {
    "BLL": ("bll",),
    "FSRQ": ("fsrq",),
    "PSR": ("psr", "msp"),
    "PWN_SNR": ("pwn", "snr", "spp"),
    "bcu": ("bcu",),
    "unassociated": ("", "unk"),
}


def class_rows() -> tuple[Positions, np.ndarray, np.ndarray]:
    """Positions, ranks by brightness and row labels of the catalogue's sources."""
    with fits.open(data_path(CATALOGUE)) as file:
        table = file[1].data
        glon, glat, flux = (np.asarray(table[c], float) for c in ("GLON", "GLAT", "Flux1000"))
        words = np.char.lower(np.char.strip(np.asarray(table["CLASS1"]).astype(str)))
    label = np.full(len(words), "other", dtype="U12")
    for name, values in ROWS.items():
        label[np.isin(words, values)] = name
    return Positions(glon, glat), flux, label


def real_confusion(sample: Sample, said: Characterisation) -> dict[str, Any]:
    """Numbers of detections by the catalogue's class (rows) and the most probable class, with place and blind."""
    places, flux, label = class_rows()
    of = match(places, flux, Positions(sample.detections.glon_deg, sample.detections.glat_deg)).of_detection
    row = np.where(of >= 0, label[of], "none")
    out: dict[str, Any] = {"columns": list(CLASSES)}
    for name, probability in (("full", said.class_prob), ("blind", said.class_prob_blind)):
        best = probability.argmax(axis=1)
        out[name] = {
            kind: np.bincount(best[row == kind], minlength=len(CLASSES)).tolist()
            for kind in (*ROWS, "other", "none")
        }
    out["median_prob_real"] = {
        kind: round(float(np.median(said.prob_real[row == kind])), 3)
        for kind in (*ROWS, "other", "none")
        if (row == kind).any()
    }
    return out
