"""Standardisation of the channels of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.exceptions import DataError


class PixelScaler:
    """Standardises every channel by the pixels of training images; a missing pixel becomes their mean."""

    def fit(self, images: NDArray[np.float32]) -> PixelScaler:
        """Learn mean and spread from images (n, channels, h, w)."""
        self.shape = images.shape[1:]
        mean, spread = np.nanmean(images, axis=(0, 2, 3)), np.nanstd(images, axis=(0, 2, 3))
        self.mean = np.nan_to_num(mean).astype(np.float32)[:, None, None]
        self.spread = np.where(spread > 0.0, spread, 1.0).astype(np.float32)[:, None, None]
        return self

    def transform(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardise images of the shape that was learnt.

        Raises
        ------
        DataError
            Another shape.
        """
        if images.shape[1:] != self.shape:
            c, h, w = self.shape
            raise DataError(
                f"the network was trained on images of {h} x {w} x {c}, but these are of "
                f"{images.shape[2]} x {images.shape[3]} x {images.shape[1]}; resize them."
            )
        scaled: NDArray[np.float32] = np.nan_to_num((images - self.mean) / self.spread).astype(np.float32)
        return scaled
