"""The first version's localiser: k-means with as many clusters as explain the image best."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from models.localise.peaks import Array, Peaks

# Boxes as large as a disc of 5 pixels; the founding ones, of 5 x 5, had discs of half this size.
HALF_BOX_PX = 4
REUSE_PENALTY = 10.0


def kmeans(
    mask: NDArray[np.floating], threshold: float = 0.2, max_clusters: int = 12, seed: int = 0
) -> Peaks:
    """k-means of the pixels above a threshold, the number of clusters by the penalised intensity.

    The intensity of n clusters is the sum of the mask in boxes of the discs' size round their centres; a
    pixel that counts a second time costs 10 (Panes et al. 2021, A&A 656, A62). Connected islands of pixels
    are taken one by one, each with up to `max_clusters`. The score is the mean of the mask in the box.
    """
    image = np.asarray(mask, float)
    labels = ndimage.label(image > threshold, structure=np.ones((3, 3)))[0]
    centres = [np.empty((0, 2))]
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = np.nonzero(labels[box] == label)
        pixels = np.stack([rows + box[0].start, columns + box[1].start], axis=-1).astype(float)
        centres.append(_best_clusters(image, pixels, max_clusters, seed))
    found = np.concatenate(centres)
    score = np.array([image[_box(c, image.shape)].sum() for c in found]) / (2 * HALF_BOX_PX + 1) ** 2
    return Peaks.sorted(found[:, 1], found[:, 0], score)


def _best_clusters(image: Array, pixels: Array, max_clusters: int, seed: int) -> Array:
    best, best_intensity = pixels.mean(axis=0, keepdims=True), -np.inf
    # More boxes than pixels of the island can fill always cost more than they gain.
    for n in range(1, min(max_clusters, 1 + len(pixels) // (2 * HALF_BOX_PX + 1) ** 2) + 1):
        centres, _ = kmeans2(pixels, n, minit="++", rng=np.random.default_rng(seed), missing="warn")
        intensity = _penalised_intensity(image, centres)
        if intensity > best_intensity:
            best, best_intensity = centres, intensity
    return np.asarray(best)


def _penalised_intensity(image: Array, centres: Array) -> float:
    used = np.zeros(image.shape, int)
    for centre in centres:
        used[_box(centre, image.shape)] += 1
    return float(image[used > 0].sum() - REUSE_PENALTY * np.sum(used > 1))


def _box(centre: Array, shape: tuple[int, ...]) -> tuple[slice, slice]:
    row, column = np.rint(centre).astype(int)
    rows = slice(max(row - HALF_BOX_PX, 0), min(row + HALF_BOX_PX + 1, shape[0]))
    columns = slice(max(column - HALF_BOX_PX, 0), min(column + HALF_BOX_PX + 1, shape[1]))
    return rows, columns
