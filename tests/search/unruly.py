"""Estimators that hang or end their process. Workers import this file, so it imports scikit-learn only."""

from __future__ import annotations

import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

from sklearn import get_config
from sklearn.dummy import DummyClassifier


class Moody(DummyClassifier):  # type: ignore[misc]
    """Fits at once, hardly ever, or not at all."""

    def __init__(self, mood: str = "good") -> None:
        super().__init__()
        self.mood = mood

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Moody:
        if self.mood == "slow":
            time.sleep(600)
        if self.mood == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        super().fit(X, y)
        return self


class Mortal(DummyClassifier):  # type: ignore[misc]
    """Ends its process in its first fit."""

    def __init__(self, mood: str = "lucky", folder: str = "") -> None:
        super().__init__()
        self.mood = mood
        self.folder = folder

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Mortal:
        mark = Path(self.folder) / "died"
        if self.mood == "unlucky" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().fit(X, y)
        return self


class Particular(DummyClassifier):  # type: ignore[misc]
    """Fits only under a setting of scikit-learn, and warns of it."""

    def __init__(self, constant: int = 0) -> None:
        super().__init__(strategy="constant", constant=constant)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Particular:
        if get_config()["transform_output"] != "pandas":
            raise ValueError("another setting")
        warnings.warn("the setting of the caller", stacklevel=2)
        super().fit(X, y)
        return self
