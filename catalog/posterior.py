"""Probabilities of competing candidates, and the priors that the data themselves tell.

A detection has a counterpart of group g with probability q_g, displaced by a Gaussian of both errors, among
chance neighbours of that group's local density rho_g. Then candidate k is the counterpart with

    P_k = q_g(k) f_k / rho_g(k) / (1 - sum_g q_g + sum_j q_g(j) f_j / rho_g(j)),

and none is with the rest: Sutherland & Saunders 1992 (MNRAS 259, 413, eq. 5) with groups, which is the posterior of
Budavari & Szalay 2008 (ApJ 679, 301) with the priors of Salvato et al. 2018 (MNRAS 473, 4937). The priors q are
fitted by expectation-maximisation in each stratum of alike detections.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = 300
TOLERANCE = 1e-6
SHARE_WEIGHT = 10.0
"""Weight, in counterparts, of the groups' shares in the catalogues against what a stratum's counterparts say."""


def posterior(ratio: Floats, i: Ints, group: Ints, stratum: Ints, priors: Floats) -> tuple[Floats, Floats]:
    """Probability of each candidate, and of no counterpart.

    Parameters
    ----------
    ratio : ndarray, shape (n_pairs,)
        Density of the true counterpart over that of chance neighbours of its group, f / rho.
    i : ndarray of int, shape (n_pairs,)
        Detection of each pair.
    group : ndarray of int, shape (n_pairs,)
        Group of each pair's candidate.
    stratum : ndarray of int, shape (n_detections,)
    priors : ndarray, shape (n_strata, n_groups)
        Probability that a detection has a counterpart of the group; rows sum to less than 1.

    Returns
    -------
    prob : ndarray, shape (n_pairs,)
    none : ndarray, shape (n_detections,)
    """
    weight = priors[stratum[i], group] * ratio
    without = 1 - priors.sum(axis=1)[stratum]
    total = np.bincount(i, weight, minlength=len(stratum)) + without
    return weight / total[i], without / total


def fit_priors(ratio: Floats, i: Ints, group: Ints, stratum: Ints, shares: Floats) -> Floats:
    """Probabilities of a counterpart of each group, in each stratum, by expectation-maximisation.

    Parameters
    ----------
    ratio, i, group, stratum
        As `posterior`.
    shares : ndarray, shape (n_strata, n_groups)
        Share of each group among the sources of the catalogues where the stratum's detections lie; rows sum to 1.

    Returns
    -------
    ndarray, shape (n_strata, n_groups)
    """
    size = np.bincount(stratum, minlength=len(shares))
    priors = 0.5 * shares
    cell = stratum[i] * shares.shape[1] + group
    for _ in range(STEPS):
        prob, _ = posterior(ratio, i, group, stratum, priors)
        found = np.bincount(cell, prob, minlength=shares.size).reshape(shares.shape)
        # One imaginary detection with and one without a counterpart keep their number off 0 and 1.
        fraction = (found.sum(axis=1) + 1) / (size + 2)
        mix = (found + SHARE_WEIGHT * shares) / (found.sum(axis=1) + SHARE_WEIGHT)[:, None]
        updated = fraction[:, None] * mix
        moved = np.max(np.abs(updated - priors), initial=0.0)
        priors = updated
        if moved < TOLERANCE:
            break
    return np.asarray(priors)
