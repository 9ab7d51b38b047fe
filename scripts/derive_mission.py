"""Derive `sky/tables/mission.npz`: the pattern of the exposure, the isotropic spectra of the event classes.

The pattern is the 8.2-year exposure of P8R2_SOURCE_V6 at 10 GeV over its mean; it hardly depends on energy
(scatter 0.1 to 0.9 % between 10 GeV and 2 TeV). There is no isotropic file for P8R3 V3; the V2 files stand in
for it. Run ``python -m scripts.derive_mission``.
"""

import json
from pathlib import Path

import numpy as np
from astropy.io import fits

from sky.data import data_path
from sky.response import EVENT_TYPES, IRF_NAMES

TABLES = Path(__file__).resolve().parent.parent / "sky" / "tables"
EXPOSURE = "exposure/lat_8yr_exposure_nside32.fits.gz"


def isotropic_file(irfs: str, event_type: str) -> str:
    """Name of the isotropic spectrum that belongs to an event class and type."""
    event_class = irfs.rsplit("_", 1)[0]
    suffix = f"V6_{event_type}_v06" if irfs.endswith("V6") else f"V2_{event_type}_v1"
    return f"isotropic/iso_{event_class}_{suffix}.txt"


def main() -> None:
    """Derive and write the table."""
    exposure = fits.getdata(data_path(EXPOSURE), 1).field("ENERGY1").astype(float)
    table = {"pattern": (exposure / exposure.mean()).astype(np.float32)}
    files = {f"{irfs}_{t}": isotropic_file(irfs, t) for irfs in IRF_NAMES for t in EVENT_TYPES}
    for key, name in files.items():
        energy_mev, dnde_mev = np.loadtxt(data_path(name), usecols=(0, 1), unpack=True)
        table[key] = np.array([energy_mev / 1e3, dnde_mev * 1e3])
    origin = {"script": "scripts/derive_mission.py", "files": [EXPOSURE, *files.values()]}
    np.savez_compressed(
        TABLES / "mission.npz",
        origin=np.array(json.dumps(origin)),
        **table,
    )


if __name__ == "__main__":
    main()
