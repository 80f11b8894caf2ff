"""Meta-features of images: sizes, pixels, neighbours, and the information about the classes in pixels.

Legend: n images of c channels, h x w pixels, scaled to [0, 1] by the range of all of them. Larger images are averaged
down to at most `SIDE` pixels on a side. Sizes are those of the original images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.metafeatures.cheap_learners import nearest_centroid
from metahpo.metafeatures.classes import ROWS, landmark, landmark_features, share_explained
from metahpo.metafeatures.definition import MetaFeature, mean_of
from metahpo.metafeatures.ordered import Ordered
from metahpo.metafeatures.references import OWN, ROY
from metahpo.metafeatures.sample import principal_variances, standardise
from metahpo.tasks.images import as_images
from metahpo.tasks.task import Task

#: Numbers that are read, pixels a side, and numbers that pixels are described by, whatever the size of the task.
CELLS, SIDE, PIXELS = 10_000_000, 32, 1_000_000
#: Images that the effective rank is of.
RANK_IMAGES = 300

IMAGE = (
    MetaFeature("log_height", "image", "ln h", OWN),
    MetaFeature("log_width", "image", "ln w", OWN),
    MetaFeature("log_channels", "image", "ln c", OWN),
    MetaFeature("pixel_mean", "image", "mean of all pixels", OWN),
    MetaFeature("pixel_spread", "image", "standard deviation of all pixels", OWN),
    MetaFeature("pixel_skewness", "image", "third standardised moment of all pixels", OWN),
    MetaFeature("share_missing_pixels", "image", "share of the pixels that are missing", OWN),
    MetaFeature("background_share", "image", "share of the most frequent value among the pixels", OWN),
    MetaFeature("brightness_spread", "image", "standard deviation of the images' means / pixel_spread", OWN),
    MetaFeature("neighbour_correlation", "image", "correlation of pixels with those to the right and below", OWN),
    MetaFeature("edge_density", "image", "mean difference of such neighbours / pixel_spread", OWN),
    MetaFeature("channel_correlation", "image", "correlation of channels, mean over pairs; NaN for one", OWN),
    MetaFeature("effective_rank", "image", "exp of the entropy of the principal variances, over their number", ROY),
    MetaFeature("class_variance_mean", "image", "share of a pixel's variance between classes, mean over pixels", OWN),
    *landmark_features("image", "nearest_centroid", "nearest class means"),
)


def draw_images(task: Task, random_state: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Some images of a task, (n, c, h, w), stratified by class, and their classes (n,)."""
    drawn = task.subsample(min(ROWS, max(1, CELLS // task.X.shape[1])), random_state)
    return as_images(drawn.X, drawn.image_shape).astype(np.float64), np.unique(drawn.y, return_inverse=True)[1]


def image(images: NDArray[np.float64], y: NDArray[np.int64]) -> dict[str, float]:
    """The meta-features of images (n, c, h, w) of classes (n,); what is not defined is left out or NaN."""
    _, c, h, w = images.shape
    found = {"log_height": np.log(h), "log_width": np.log(w), "log_channels": np.log(c)}
    missing = np.isnan(images)
    found["share_missing_pixels"] = missing.mean()
    found |= _of_pixels(_shrunk(_scaled(images, missing)), y)
    return {name: float(value) for name, value in found.items()}


def _scaled(images: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pixels in [0, 1], missing ones at the mean of all."""
    if missing.all():
        return np.zeros_like(images)
    low, high = np.nanmin(images), np.nanmax(images)
    scaled: NDArray[np.float64] = (images - low) / (high - low if high > low else 1.0)
    if missing.any():
        scaled[missing] = scaled[~missing].mean()
    return scaled


def _shrunk(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images of at most `SIDE` pixels a side: means of blocks, without the last rows and columns that fill no block."""
    n, c, h, w = images.shape
    a, b = -(-h // SIDE), -(-w // SIDE)
    if a == b == 1:
        return images
    blocks = images[:, :, : h // a * a, : w // b * b].reshape(n, c, h // a, a, w // b, b)
    shrunk: NDArray[np.float64] = blocks.mean(axis=(3, 5))
    return shrunk


def _of_pixels(images: NDArray[np.float64], y: NDArray[np.int64]) -> dict[str, float]:
    """Meta-features of the pixels of scaled images (n, c, h, w) of classes (n,)."""
    flat = images.reshape(len(images), -1)
    found = {"class_variance_mean": mean_of(share_explained(flat, y))}
    if images.min() < images.max():
        found |= landmark("nearest_centroid", nearest_centroid, flat, y)
    scaled = _some(images, max(1, PIXELS // flat.shape[1]))
    flat = scaled.reshape(len(scaled), -1)
    spread = scaled.std()
    found |= {"pixel_mean": scaled.mean(), "pixel_spread": spread}
    found["background_share"] = Ordered(scaled.reshape(-1, 1)).mode_share[0]
    if spread == 0.0:
        return found
    standardised = (scaled - scaled.mean()) / spread
    found["pixel_skewness"] = (standardised * standardised * standardised).mean()
    found["brightness_spread"] = flat.mean(axis=1).std() / spread
    pairs = [(scaled[..., :-1, :], scaled[..., 1:, :]), (scaled[..., :, :-1], scaled[..., :, 1:])]
    pairs = [(a, b) for a, b in pairs if a.size]
    found["neighbour_correlation"] = mean_of(np.array([_correlation(a, b) for a, b in pairs]))
    found["edge_density"] = mean_of(np.array([np.abs(a - b).mean() / spread for a, b in pairs]))
    channels = standardise(scaled.transpose(0, 2, 3, 1).reshape(-1, scaled.shape[1]))
    between = channels.T @ channels / len(channels)
    found["channel_correlation"] = mean_of(between[np.tril_indices(len(between), -1)])
    some = _some(flat, RANK_IMAGES)
    variances = principal_variances(some)
    if variances.sum() > 0.0:
        shares = variances[variances > 0] / variances.sum()
        found["effective_rank"] = np.exp(-(shares * np.log(shares)).sum()) / len(variances)
    return found


def _some(images: NDArray[np.float64], n_images: int) -> NDArray[np.float64]:
    """A random sample of the images. It is random because classes may alternate."""
    if len(images) <= n_images:
        return images
    drawn: NDArray[np.float64] = images[np.sort(np.random.default_rng(0).permutation(len(images))[:n_images])]
    return drawn


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Correlation of all numbers of two arrays; NaN if one is constant."""
    if a.std() == 0.0 or b.std() == 0.0:
        return float("nan")
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
