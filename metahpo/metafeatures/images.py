"""Meta-features of images: sizes, pixels, neighbours, classes.

Legend: n images of c channels, h x w pixels; pixels are scaled to [0, 1] by the range of the whole dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestCentroid

from metahpo.metafeatures.classes import class_structure, codes_of, drawn_rows, landmark, share_explained
from metahpo.metafeatures.definition import MetaFeature, mean_of
from metahpo.metafeatures.sources import FEURER, PFAHRINGER, RIVOLLI, ROY
from metahpo.tasks.images import as_images

OWN = "this package"

IMAGE_META_FEATURES = (
    MetaFeature("log_rows", "image", "ln n", FEURER),
    MetaFeature("log_height", "image", "ln h", OWN),
    MetaFeature("log_width", "image", "ln w", OWN),
    MetaFeature("log_channels", "image", "ln c", OWN),
    MetaFeature("log_classes", "image", "ln of the number of classes", FEURER, "classification"),
    MetaFeature("class_share_min", "image", "share of the smallest class", FEURER, "classification"),
    MetaFeature("class_imbalance", "image", "ln(largest / smallest class)", RIVOLLI, "classification"),
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
    MetaFeature("nearest_centroid", "image", "balanced accuracy of nearest class means, 2 folds", PFAHRINGER),
)


def image_meta_features(X: Any, y: Any, shape: Sequence[int] | None = None, random_state: int = 0) -> dict[str, float]:
    """Meta-features of an image classification task.

    Parameters
    ----------
    X : array-like
        n x h x w, n x h x w x c, or n x pixels; see :func:`metahpo.tasks.images.as_images`.
    y : array-like of shape (n,)
    shape : sequence of int, or None
        Of flattened images.
    random_state : int, default=0
        Seed of the draw of at most 2,000 images.

    Returns
    -------
    dict of str to float
        One value a definition in `IMAGE_META_FEATURES`, in that order; NaN = not defined.

    Raises
    ------
    DataError
        No images, or labels that are missing, too few, or of one class.
    """
    images = as_images(X, shape)
    codes = codes_of(y, len(images))
    n, c, h, w = images.shape
    found = {"log_rows": np.log(n), "log_height": np.log(h), "log_width": np.log(w), "log_channels": np.log(c)}
    found |= class_structure(codes)
    rows = drawn_rows(n, random_state)
    found |= _of_pixels(images[rows].astype(np.float64), codes[rows])
    return {feature.name: float(found.get(feature.name, np.nan)) for feature in IMAGE_META_FEATURES}


def _of_pixels(images: NDArray[np.float64], y: NDArray[np.int64]) -> dict[str, float]:
    missing = np.isnan(images)
    low, high = (np.nanmin(images), np.nanmax(images)) if not missing.all() else (0.0, 0.0)
    scaled = (images - low) / (high - low if high > low else 1.0)
    scaled = np.where(missing, np.mean(scaled[~missing]) if not missing.all() else 0.0, scaled)
    spread = scaled.std()
    found = {"pixel_mean": scaled.mean(), "pixel_spread": spread, "share_missing_pixels": missing.mean()}
    found["background_share"] = np.unique(scaled, return_counts=True)[1].max() / scaled.size
    flat = scaled.reshape(len(scaled), -1)
    found["class_variance_mean"] = mean_of(share_explained(flat, y))
    if spread == 0.0:
        return found
    found["pixel_skewness"] = (((scaled - scaled.mean()) / spread) ** 3).mean()
    found["brightness_spread"] = flat.mean(axis=1).std() / spread
    pairs = [(scaled[..., :-1, :], scaled[..., 1:, :]), (scaled[..., :, :-1], scaled[..., :, 1:])]
    pairs = [(a, b) for a, b in pairs if a.size]
    found["neighbour_correlation"] = mean_of(np.array([_correlation(a, b) for a, b in pairs]))
    found["edge_density"] = mean_of(np.array([np.abs(a - b).mean() / spread for a, b in pairs]))
    channels = [scaled[:, i] for i in range(scaled.shape[1])]
    found["channel_correlation"] = mean_of(
        np.array([_correlation(a, b) for i, a in enumerate(channels) for b in channels[:i]])
    )
    variances = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False) ** 2
    shares = variances[variances > 0] / variances.sum()
    found["effective_rank"] = np.exp(-(shares * np.log(shares)).sum()) / len(variances)
    found["nearest_centroid"] = landmark(NearestCentroid(), flat, y)
    return found


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Of all numbers of two arrays; NaN where one is constant."""
    if a.std() == 0.0 or b.std() == 0.0:
        return float("nan")
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
