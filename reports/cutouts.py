"""Counts images of small parts of the sky, as small PNG pictures with marks drawn over them."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import healpy as hp
import numpy as np
from markupsafe import Markup
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from sky.counts import HealpixCounts

Floats = NDArray[np.float64]
WIDTH_DEG = 4.0
PIXELS = 40
SMOOTHING_DEG = 0.12
PLACES = 2  # on a side of a pixel
FAINTEST_PERCENT = 5.0
# Dark to bright in lightness alone, so that it reads in grey and for every eye.
DEEP = LinearSegmentedColormap.from_list(
    "deep", ["#ffffff", "#b9cde0", "#5f86ab", "#173a5e", "#06121f"], N=24
)


@dataclass(frozen=True)
class Mark:
    """A sign on a cut-out: ``cross`` or ``ring``, offsets in degrees to the left (longitude) and up (latitude)."""

    kind: str
    left_deg: float
    up_deg: float
    title: str
    size_deg: float = 0.15


def plane_offsets(
    glon_deg: ArrayLike, glat_deg: ArrayLike, centre_glon_deg: float, centre_glat_deg: float
) -> tuple[Floats, Floats]:
    """Gnomonic offsets (deg) from a centre: to larger longitude, to larger latitude; NaN beyond 90 degrees."""
    lon, lat = np.radians(np.asarray(glon_deg, float) - centre_glon_deg), np.radians(glat_deg)
    centre = np.radians(centre_glat_deg)
    cosine = np.sin(centre) * np.sin(lat) + np.cos(centre) * np.cos(lat) * np.cos(lon)
    cosine = np.where(cosine > 0, cosine, np.nan)
    x = np.cos(lat) * np.sin(lon) / cosine
    y = (np.cos(centre) * np.sin(lat) - np.sin(centre) * np.cos(lat) * np.cos(lon)) / cosine
    return np.degrees(x), np.degrees(y)


def sky_grid(
    glon_deg: float, glat_deg: float, width_deg: float, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude (deg) of the pixels of a gnomonic image, longitude to the left, row 0 lowest."""
    step = width_deg / pixels
    offset = np.radians((np.arange(pixels) + 0.5) * step - width_deg / 2)
    left, up = -offset[None, :] + 0 * offset[:, None], offset[:, None] + 0 * offset[None, :]
    centre = np.radians(glat_deg)
    out = np.cos(centre) - up * np.sin(centre)
    lat = np.arctan2(np.sin(centre) + up * np.cos(centre), np.hypot(left, out))
    return (glon_deg + np.degrees(np.arctan2(left, out))) % 360, np.degrees(lat)


def cutout(
    counts: ArrayLike | HealpixCounts,
    glon_deg: float,
    glat_deg: float,
    width_deg: float = WIDTH_DEG,
    pixels: int = PIXELS,
    smoothing_deg: float = SMOOTHING_DEG,
) -> Floats:
    """Counts per square degree around a place.

    Parameters
    ----------
    counts : array, shape (npix,), or HealpixCounts
        HEALPix map of photon counts, galactic, NESTED.
    smoothing_deg : float
        Width (sigma) of the Gaussian that smooths the image; 0 for none.

    Returns
    -------
    array, shape (pixels, pixels)
        Row 0 lowest latitude, columns to smaller longitude.
    """
    # A margin, so that smoothing knows what lies beyond the border.
    step = width_deg / pixels
    margin = int(np.ceil(3 * smoothing_deg / step))
    whole = pixels + 2 * margin
    # Several places in each pixel: a HEALPix pixel as large as it must not count once or twice by chance.
    fine = _density(counts, *sky_grid(glon_deg, glat_deg, whole * step, whole * PLACES))
    image = fine.reshape(whole, PLACES, whole, PLACES).mean(axis=(1, 3))
    smooth = gaussian_filter(image, smoothing_deg / step) if smoothing_deg else image
    return np.asarray(smooth[margin : margin + pixels, margin : margin + pixels], float)


def _density(counts: ArrayLike | HealpixCounts, glon_deg: Floats, glat_deg: Floats) -> Floats:
    """Counts per square degree of the HEALPix pixels that hold some places."""
    if isinstance(counts, HealpixCounts):
        nside = 1 << counts.order
        ipix = hp.ang2pix(nside, glon_deg, glat_deg, nest=True, lonlat=True)
        filled, values = counts.sparse()
        place = np.minimum(np.searchsorted(filled, ipix), max(len(filled) - 1, 0))
        found = np.where(filled[place] == ipix, values[place], 0) if len(filled) else np.zeros(ipix.shape)
    else:
        dense = np.asarray(counts)
        nside = hp.npix2nside(len(dense))
        found = dense[hp.ang2pix(nside, glon_deg, glat_deg, nest=True, lonlat=True)]
    return np.asarray(found / hp.nside2pixarea(nside, degrees=True), float)


def indexed_png(level: ArrayLike, colours: LinearSegmentedColormap) -> bytes:
    """A PNG with a palette; the same bytes for the same image.

    Parameters
    ----------
    level : array, shape (height, width)
        Brightness from 0 to 1, row 0 lowest.
    colours : colormap
        Its own number of colours is that of the palette.
    """
    index = np.clip(np.asarray(level, float) * colours.N, 0, colours.N - 1).astype(np.uint8)
    picture = Image.fromarray(index[::-1], mode="P")
    picture.putpalette((colours(np.arange(colours.N))[:, :3] * 255).round().astype(np.uint8).tobytes())
    out = io.BytesIO()
    picture.save(out, format="png", optimize=True)
    return out.getvalue()


def png_uri(png: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def stretched(image: ArrayLike) -> Floats:
    """Brightness from 0 to 1 of a density: the square root of what stands out of the image's faintest part.

    Below a GeV the background is most of what there is: from zero, all of the image would be dark.
    """
    values = np.asarray(image, float)
    least = np.percentile(values, FAINTEST_PERCENT) if values.size else 0.0
    over = np.clip(values - least, 0, None)
    top = over.max(initial=0.0)
    return np.sqrt(over / top) if top > 0 else np.zeros(values.shape)


def cutout_png(image: ArrayLike) -> bytes:
    """A density as a PNG, `stretched`."""
    return indexed_png(stretched(image), DEEP)


def picture(
    image: ArrayLike, width_deg: float, marks: Iterable[Mark], label: str, side_px: int = 110
) -> Markup:
    """An inline SVG: the image with its marks, and words for those who cannot see it."""
    scale = side_px / width_deg
    parts = [
        Markup(
            '<svg class="cutout" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
        ).format(label, side_px, side_px, side_px, side_px),
        Markup('<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/>').format(
            png_uri(cutout_png(image)), side_px, side_px
        ),
    ]
    for mark in marks:
        x, y = side_px / 2 - scale * mark.left_deg, side_px / 2 - scale * mark.up_deg
        r = scale * mark.size_deg
        if not (0 <= x <= side_px and 0 <= y <= side_px):
            continue
        shape = (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"/>'
            if mark.kind == "ring"
            else f'<path d="M{x - r:.1f} {y:.1f}h{2 * r:.1f}M{x:.1f} {y - r:.1f}v{2 * r:.1f}"/>'
        )
        parts.append(Markup('<g class="{}"><title>{}</title>').format(mark.kind, mark.title))
        parts.append(Markup(shape) + Markup("</g>"))
    return Markup("").join([*parts, Markup("</svg>")])
