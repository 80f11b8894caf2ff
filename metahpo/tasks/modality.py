"""The modality of data without a description: table, images or texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from metahpo.exceptions import DataError
from metahpo.tasks.columns import is_free_text
from metahpo.tasks.containers import as_array, as_pandas, is_sparse
from metahpo.tasks.images import in_words
from metahpo.tasks.target import TaskKind, as_target, is_continuous
from metahpo.tasks.task import Modality, Task

#: So many classes are named.
MAX_LISTED = 10


def modality_of(X: Any) -> Modality:
    """Modality of features. Unusable features raise no error here.

    Arrays of three and four dimensions are images. One-dimensional containers of strings are texts, and so are frames
    that have nothing but columns of free text. Everything else is a table: a frame with a column of text beside others,
    and rows of pixels, too.
    """
    if isinstance(X, Iterator) or is_sparse(X):
        return "table"
    X = as_pandas(X)
    if isinstance(X, pd.DataFrame):
        n_columns = X.shape[1]
        return "text" if n_columns and all(is_free_text(X.iloc[:, i]) for i in range(n_columns)) else "table"
    try:
        array = as_array(X, "X")
    except DataError:  # not rectangular
        return "table"
    if array.ndim in (3, 4):
        return "image"
    if array.ndim == 1 and (array.dtype.kind in "US" or any(isinstance(value, (str, bytes)) for value in array)):
        return "text"
    return "table"


def as_task(X: Any, y: Any, *, kind: TaskKind | None = None, name: str = "task") -> Task:
    """Make data a task of what :func:`modality_of` takes them for.

    The first treatments of the task name what was inferred: images, texts, and the kind if none is given.

    Parameters
    ----------
    X : DataFrame, array-like of shape (n_rows, n_features), (n, h, w) or (n, h, w, c), or sequence of str
    y : array-like of shape (n_rows,)
    kind : {"classification", "regression"}, default=None
        None infers it for a table; images and texts are classified.
    name : str, default="task"

    Raises
    ------
    DataError
        Data that make no task, images whose channels come first, or a quantity to be predicted from images or texts.
    """
    if isinstance(X, Iterator):
        X = list(X)
    X = as_pandas(X)
    modality = modality_of(X)
    if modality == "table":
        task = Task.from_arrays(X, y, kind=kind, name=name)
        return task if kind is not None else replace(task, treatments=(_guessed(task), *task.treatments))
    if kind == "regression" or (kind is None and is_continuous(as_target(y).dropna())):
        raise DataError(f"{modality}s are classified, but the target is a quantity; give class labels.")
    task = Task.from_texts(X, y, name=name) if modality == "text" else _of_images(X, y, name)
    rows = "texts" if task.image_shape is None else f"images of {in_words(task.image_shape)}"
    return replace(task, treatments=(f"the rows of X are taken for {rows}", *task.treatments))


def _guessed(task: Task) -> str:
    """Kind of task inferred from the target, and how to change it if numbers allow both kinds."""
    if task.kind == "regression":
        whole = bool((task.y == np.floor(task.y)).all())
        otherwise = '; if its numbers are names of classes, give kind="classification"' if whole else ""
        return f"y is taken for a quantity (regression){otherwise}"
    listed = ", ".join(map(repr, task.classes[:MAX_LISTED])) + (", ..." if len(task.classes) > MAX_LISTED else "")
    numbers = all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in task.classes)
    otherwise = '; if it is a quantity, give kind="regression"' if numbers and len(task.classes) > 2 else ""
    return f"y is taken for {len(task.classes)} classes (classification): {listed}{otherwise}"


def _of_images(X: Any, y: Any, name: str) -> Task:
    shape = np.shape(X)
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] > 4:
        raise DataError(
            f"images are n x h x w x c, but the shape of X is {shape}, which looks like n x c x h x w: give "
            "X.transpose(0, 2, 3, 1), or Task.from_images(X, y) to a Recommender where it only looks so."
        )
    return Task.from_images(X, y, name=name)
