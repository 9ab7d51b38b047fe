"""The real sky against 4FGL-DR2: classes that the networks give, and ellipses at places known from elsewhere."""

from typing import Any

import numpy as np
from astropy.io import fits

from benchmarks.characterisation.figures import sigma_bins
from benchmarks.characterisation.sample import Sample
from models.characterise import Characterisation
from models.cutouts import CLASSES
from models.evaluate import Positions, match
from sky.data import data_path
from sky.frames import galactic_to_icrs, position_angle_deg, separation_deg

CATALOGUE = "catalogs/gll_psc_v27.fit.gz"
ROWS = {
    "BLL": ("bll",),
    "FSRQ": ("fsrq",),
    "PSR": ("psr", "msp"),
    "PWN_SNR": ("pwn", "snr", "spp"),
    "bcu": ("bcu",),
    "unassociated": ("", "unk"),
}


# Objects that are points, whose places are known to this, degrees.
POINT_LIKE = ("bll", "fsrq", "bcu", "agn", "rdg", "psr", "msp", "nlsy1", "ssrq", "css", "sey")
WELL_KNOWN_DEG = 0.005


def known_places(sample: Sample) -> list[dict[str, Any]]:
    """Shares of sources whose ellipses hold the known place of the galaxy or pulsar that DR2 associates."""
    with fits.open(data_path(CATALOGUE)) as file:
        table = file[1].data
        columns = ("GLON", "GLAT", "Flux1000", "RA_Counterpart", "DEC_Counterpart", "Unc_Counterpart")
        glon, glat, flux, ra, dec, unc = (np.asarray(table[c], float) for c in columns)
        words = np.char.lower(np.char.strip(np.asarray(table["CLASS1"]).astype(str)))
    by = sample.measured
    of = match(Positions(glon, glat), flux, Positions(by.glon_deg, by.glat_deg)).of_detection
    known = np.isfinite(ra) & ~(unc > WELL_KNOWN_DEG) & np.isin(words, POINT_LIKE)
    rows = np.flatnonzero((of >= 0) & known[of])
    by, of = by.select(rows), of[rows]
    here = galactic_to_icrs(by.glon_deg, by.glat_deg)
    apart = separation_deg(*here, ra[of], dec[of])
    turn = np.radians(position_angle_deg(*here, ra[of], dec[of]) - by.conf_posang_deg)
    along, across = apart * np.cos(turn), apart * np.sin(turn)
    inside = {
        level: np.hypot(
            along / getattr(by, f"conf_{level}_semimajor_deg"),
            across / getattr(by, f"conf_{level}_semiminor_deg"),
        )
        <= 1
        for level in ("68", "95")
    }
    bins = [("all", np.ones(len(rows), bool)), *sigma_bins(by.signif_avg)]
    return [
        {"sigma": label, "n": int(mine.sum())}
        | {f"within_{k}": float(v[mine].mean()) for k, v in inside.items()}
        for label, mine in bins
    ]


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
