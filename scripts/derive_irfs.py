"""Derive `sky/tables/irfs_*.npz` from the CALDB files of fermi-lat/irfs @ ca6e97cf.

Keeps the parameters as they are published, in float32: effective area, King-function PSF and energy
dispersion of FRONT and BACK events. Run ``python -m scripts.derive_irfs`` after a new CALDB release.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from sky.data import data_path
from sky.response import EVENT_TYPES, IRF_NAMES

TABLES = Path(__file__).resolve().parent.parent / "sky" / "tables"
PSF_COLUMNS = ("NTAIL", "SCORE", "STAIL", "GCORE", "GTAIL")
EDISP_COLUMNS = ("F", "S1", "K1", "BIAS", "BIAS2", "S2", "K2", "PINDEX1", "PINDEX2")


def edges(row: Any, axis: str) -> np.ndarray:
    """Bin edges of an axis of a CALDB table, from its `_LO` and `_HI` columns."""
    return np.append(row[f"{axis}_LO"], row[f"{axis}_HI"][-1]).astype(np.float32)


def derive(irfs: str) -> dict[str, np.ndarray]:
    """Read one event class; arrays are [cos theta, energy], energies in MeV as in the files."""
    files = {
        kind: f"irfs/{kind}/{kind.replace('ea', 'aeff')}_{irfs}_FB.fits" for kind in ("ea", "psf", "edisp")
    }
    table: dict[str, np.ndarray] = {}
    with (
        fits.open(data_path(files["ea"])) as ea,
        fits.open(data_path(files["psf"])) as psf,
        fits.open(data_path(files["edisp"])) as edisp,
    ):
        for t in EVENT_TYPES:
            area = ea[f"EFFECTIVE AREA_{t}"].data[0]
            king = psf[f"RPSF_{t}"].data[0]
            disp = edisp[f"ENERGY DISPERSION_{t}"].data[0]
            table |= {
                f"{t}_aeff_m2": area["EFFAREA"],
                f"{t}_king": np.stack([king[c] for c in PSF_COLUMNS]),
                f"{t}_psf_scale": psf[f"PSF_SCALING_PARAMS_{t}"].data["PSFSCALE"][0],
                f"{t}_edisp": np.stack([disp[c] for c in EDISP_COLUMNS]),
                f"{t}_edisp_scale": edisp[f"EDISP_SCALING_PARAMS_{t}"].data["EDISPSCALE"][0],
            }
        table |= {
            "aeff_energy_mev": edges(area, "ENERG"),
            "aeff_cos_theta": edges(area, "CTHETA"),
            "psf_energy_mev": edges(king, "ENERG"),
            "psf_cos_theta": edges(king, "CTHETA"),
        }
    table = {name: np.asarray(values, np.float32) for name, values in table.items()}
    origin = {
        "origin": "fermi-lat/irfs @ ca6e97cfa341a047634c269e3c618a10654cf73e",
        "files": sorted(files.values()),
        "script": "scripts/derive_irfs.py",
        "king": PSF_COLUMNS,
        "edisp": EDISP_COLUMNS,
    }
    return table | {"origin": np.array(json.dumps(origin))}


if __name__ == "__main__":
    for name in IRF_NAMES:
        np.savez_compressed(TABLES / f"irfs_{name}.npz", **derive(name))  # type: ignore[arg-type]
