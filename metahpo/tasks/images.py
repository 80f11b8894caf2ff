"""Conversion of images of any layout to arrays of shape (n, channels, height, width)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError

ImageShape = tuple[int, int, int]


def shape_of_columns(n_columns: int, shape: Sequence[int] | None) -> ImageShape:
    """Height, width and channels of images that are rows of numbers.

    Parameters
    ----------
    n_columns : int
    shape : sequence of int, or None
        (height, width) or (height, width, channels); None takes a square of one channel, else of three.

    Raises
    ------
    DataError
        No such square, or a shape of another number of pixels.
    """
    if shape is not None:
        if len(shape) not in (2, 3) or math.prod(shape) != n_columns:
            raise DataError(f"image_shape is {tuple(shape)}, but a row of X has {n_columns} numbers.")
        return (shape[0], shape[1], shape[2] if len(shape) == 3 else 1)
    for channels in (1, 3):
        side = math.isqrt(n_columns // channels)
        if side * side * channels == n_columns:
            return side, side, channels
    raise DataError(
        f"rows of {n_columns} numbers are no square images of one or three channels: give image_shape=(height, width)."
    )


def in_words(shape: ImageShape) -> str:
    """A shape in words."""
    height, width, channels = shape
    return f"{height} x {width} pixels and {channels} channel{'s' if channels > 1 else ''}"


def as_images(X: Any, shape: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Images of shape (n, channels, height, width).

    Parameters
    ----------
    X : array-like
        Of shape (n, h, w), (n, h, w, c), or (n, pixels), rows of pixels in that order. NaN is a missing pixel.
    shape : sequence of int, or None
        Of flattened images; see :func:`shape_of_columns`.

    Raises
    ------
    DataError
        Images of different shapes, no real numbers, infinite values, no images at all.
    """
    try:
        if np.iscomplexobj(X):
            raise TypeError("these are complex")
        array = np.asarray(X, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"images must be numbers, and all of one shape, but: {error}") from error
    if array.ndim == 2:
        array = array.reshape(len(array), *shape_of_columns(array.shape[1], shape))
    elif array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(f"images must be n x h x w, n x h x w x c or n x pixels, but the shape of X is {np.shape(X)}.")
    if np.isinf(array).any():
        raise DataError("images hold infinite values; replace them by NaN (missing) or finite numbers.")
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class ImageReading:
    """The reading of images as rows of a table, with one column for each pixel and channel.

    Attributes
    ----------
    shape : tuple of int
        (height, width, channels).
    """

    shape: ImageShape

    @classmethod
    def of(cls, X: Any, shape: Sequence[int] | None = None) -> ImageReading:
        """Reading of images of any layout that :func:`as_images` takes."""
        _, channels, height, width = as_images(X, shape).shape
        return cls((height, width, channels))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: pixels row by row, the channels of a pixel side by side."""
        return tuple(f"x{i}" for i in range(math.prod(self.shape)))

    @property
    def column_names(self) -> list[str]:
        """The same: none is left out."""
        return list(self.names)

    def prepared(self, X: Any) -> pd.DataFrame:
        """Images as rows of pixels. Rows of pixels are unchanged.

        Raises
        ------
        DataError
            Images of another shape.
        """
        images = as_images(X, self.shape).transpose(0, 2, 3, 1)
        if images.shape[1:] != self.shape:
            height, width, channels = images.shape[1:]
            raise DataError(
                f"images must be of {in_words(self.shape)}, but are of {in_words((height, width, channels))}."
            )
        rows = images.reshape(len(images), -1).astype(np.float64)
        return pd.DataFrame(rows, columns=list(self.names))
