"""Energy dispersion: how measured energies scatter about the true ones.

Pass 8's form (Fermi Cicerone, IRF_E_dispersion): two asymmetric generalised Gaussians of the scaled deviation
x = (E' / E - 1) / S_D(E, theta). Parameters are the CALDB's, in `sky/tables/irfs_*.npz`.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from sky.response import EVENT_TYPES, Response, irf_table

Array = NDArray[np.float64]


def band_fraction(
    response: Response, event_type: str, energy_gev: Array, emin_gev: float, emax_gev: float
) -> Array:
    """Share of the photons of true energy E that are measured inside a band, averaged over inclination.

    Parameters
    ----------
    response : Response
    event_type : str
        FRONT or BACK.
    energy_gev : array [n]
        True energies.
    emin_gev, emax_gev : float
        Measured energies of the band.

    Returns
    -------
    array [n]
    """
    below_max = _cumulative(response, event_type, energy_gev, emax_gev)
    return below_max - _cumulative(response, event_type, energy_gev, emin_gev)


def _cumulative(response: Response, event_type: str, energy_gev: Array, measured_gev: float) -> Array:
    """Share measured below an energy, [n]."""
    parameters, scale, centre_gev, cos_theta = _table(response.irfs)[event_type]
    log_e = np.log10(energy_gev * 1e3)[:, None]
    c = scale
    spread = c[0] * log_e**2 + c[1] * cos_theta**2 + c[2] * log_e + c[3] * cos_theta
    spread = spread + c[4] * log_e * cos_theta + c[5]
    x = (measured_gev / energy_gev[:, None] - 1) / spread
    # The form at the table's two next energies, in proportion: S_D has taken out most of the change between
    # them.
    log_centre = np.log10(centre_gev * 1e3)
    lower = np.clip(np.searchsorted(log_centre, log_e[:, 0]) - 1, 0, len(log_centre) - 2)
    upper_share = (log_e[:, 0] - log_centre[lower]) / (log_centre[lower + 1] - log_centre[lower])
    upper_share = np.clip(upper_share, 0, 1)[:, None]
    below = (1 - upper_share) * _form(parameters[:, :, lower], x) + upper_share * _form(
        parameters[:, :, lower + 1], x
    )
    weight = response.effective_area_cm2(event_type, energy_gev[:, None], cos_theta[None, :])
    return np.sum(below * weight, axis=1) / weight.sum(axis=1)


def _form(parameters: Array, x: Array) -> Array:
    """Cumulative distribution of both generalised Gaussians, [n, cos theta]; parameters [9, cos theta, n]."""
    f, s1, k1, b1, b2, s2, k2, p1, p2 = np.swapaxes(parameters, 1, 2)
    return f * _generalised(x, s1, k1, b1, p1) + (1 - f) * _generalised(x, s2, k2, b2, p2)


def _generalised(x: Array, width: Array, skew: Array, shift: Array, power: Array) -> Array:
    """Cumulative of exp(-(k |x - b| / s)^p) above b and exp(-(|x - b| / (k s))^p) below."""
    left = skew**2 / (1 + skew**2)
    distance = np.abs(x - shift) / width
    below = left * (1 - gammainc(1 / power, (distance / skew) ** power))
    above = left + (1 - left) * gammainc(1 / power, (distance * skew) ** power)
    return np.where(x < shift, below, above)


@cache
def _table(irfs: str) -> dict[str, tuple[Array, Array, Array, Array]]:
    """Parameters [9, cos theta, energy], scaling, energies (GeV) and mean cos theta of each event type."""
    table = irf_table(irfs)
    edges, cos_edges = table["psf_energy_mev"] / 1e3, table["psf_cos_theta"]
    centre, cos_theta = np.sqrt(edges[1:] * edges[:-1]), 0.5 * (cos_edges[1:] + cos_edges[:-1])
    return {t: (table[f"{t}_edisp"], table[f"{t}_edisp_scale"], centre, cos_theta) for t in EVENT_TYPES}
