"""The survey definition: energy bands, HEALPix orders, event types, instrument response.

Everything below a `Survey` works for any instrument that counts photons; the instrument is named here and nowhere
else. A survey is one TOML file in `sky/surveys/`.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import healpy as hp


class SurveyError(ValueError):
    """A survey that does not exist or does not fit."""


@dataclass(frozen=True)
class Band:
    """One energy band and the HEALPix order at which its photons are kept."""

    emin_gev: float
    emax_gev: float
    order: int

    @property
    def nside(self) -> int:
        """HEALPix NSIDE of the band."""
        return 1 << self.order

    @property
    def npix(self) -> int:
        """Number of HEALPix pixels of the band's map."""
        return int(hp.nside2npix(self.nside))

    @property
    def label(self) -> str:
        """Short text such as ``10-30 GeV``."""
        return f"{self.emin_gev:g}-{self.emax_gev:g} GeV"


@dataclass(frozen=True)
class Survey:
    """What a catalogue run must know about its observations before it sees them.

    Attributes
    ----------
    name : str
    irfs : str
        Default instrument response functions; an observation may name others.
    bands : tuple of Band
        Ascending and disjoint.
    event_types : tuple of str
        ``("BOTH",)`` or ``("FRONT", "BACK")``.
    time_slices : int
        Number of time slices where an observation has them; 0 for none.
    flux_column : str
        Name of the catalogue's headline flux column.
    flux_range_gev : tuple of float
        Energy range of that flux.
    reference_index : float
        Photon index of the power law assumed for detection and for converting counts to flux.
    tile_pixels_per_10deg : tuple of int
        Pixels of each band's tile over 10 degrees.
    """

    name: str
    irfs: str
    bands: tuple[Band, ...]
    event_types: tuple[str, ...]
    time_slices: int
    flux_column: str
    flux_range_gev: tuple[float, float]
    reference_index: float
    tile_pixels_per_10deg: tuple[int, ...]

    @property
    def planes(self) -> tuple[tuple[int, str], ...]:
        """All (band index, event type) pairs, band by band: the order of every per-plane array."""
        return tuple((b, t) for b in range(len(self.bands)) for t in self.event_types)

    @property
    def finest_band(self) -> int:
        """The first band of those with the finest tiles."""
        return self.tile_pixels_per_10deg.index(max(self.tile_pixels_per_10deg))


def survey_names() -> tuple[str, ...]:
    """Names of the surveys that exist, sorted."""
    files = resources.files("sky.surveys").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


@cache
def get_survey(name: str) -> Survey:
    """Read one survey definition.

    Raises
    ------
    SurveyError
        If there is no survey of that name.
    """
    if name not in survey_names():
        raise SurveyError(f"unknown survey '{name}'; known: {', '.join(survey_names())}")
    raw = tomllib.loads(resources.files("sky.surveys").joinpath(f"{name}.toml").read_text())
    bands = tuple(Band(b["energy_gev"][0], b["energy_gev"][1], b["order"]) for b in raw["bands"])
    return Survey(
        name=raw["name"],
        irfs=raw["irfs"],
        bands=bands,
        event_types=tuple(raw["event_types"]),
        time_slices=raw["time_slices"],
        flux_column=raw["flux_column"],
        flux_range_gev=(raw["flux_range_gev"][0], raw["flux_range_gev"][1]),
        reference_index=raw["reference_index"],
        tile_pixels_per_10deg=tuple(b["tile_pixels_per_10deg"] for b in raw["bands"]),
    )
