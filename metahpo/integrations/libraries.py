"""Libraries that integrations need: each comes with an extra of this package."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from metahpo.exceptions import MissingDependencyError


@dataclass(frozen=True)
class Library:
    """A library of an integration.

    Attributes
    ----------
    name : str
        As a person writes it.
    package : str
        As it is installed.
    module : str
        As it is imported.
    minimum : tuple of int
        Lowest version that works.
    extra : str
        Extra of this package that installs it.
    """

    name: str
    package: str
    module: str
    minimum: tuple[int, ...]
    extra: str

    def load(self) -> Any:
        """Import the module.

        Raises
        ------
        MissingDependencyError
            The library is not installed or too old; the message names the extra that installs it.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecations in their own imports
                found = importlib.import_module(self.module)
            installed = str(getattr(found, "__version__", None) or version(self.package))
        except (ImportError, PackageNotFoundError) as error:
            raise MissingDependencyError(f"{self.name} cannot be imported ({error}); {self._install}.") from error
        if _numbers(installed) < self.minimum:
            least = ".".join(map(str, self.minimum))
            raise MissingDependencyError(f"{self.name} {installed} is too old, {least} is needed; {self._install}.")
        return found

    @property
    def _install(self) -> str:
        return f"install it with: pip install -U 'metahpo[{self.extra}]'"


def _numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version."""
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


OPTUNA = Library("Optuna", "optuna", "optuna", (5, 0), "optuna")
RAY_TUNE = Library("Ray Tune", "ray", "ray.tune", (2, 40), "ray")
HYPEROPT = Library("Hyperopt", "hyperopt", "hyperopt", (0, 3), "hyperopt")
SMAC = Library("SMAC3", "smac", "smac", (2, 4), "smac")
KERAS_TUNER = Library("Keras Tuner", "keras-tuner", "keras_tuner", (1, 4), "keras-tuner")
BOTORCH = Library("BoTorch", "botorch", "botorch", (0, 12), "botorch")
MLFLOW = Library("MLflow", "mlflow-skinny", "mlflow", (3, 0), "mlflow")
TENSORBOARD = Library("tensorboardX", "tensorboardX", "tensorboardX", (2, 6), "tensorboard")
AX = Library("Ax", "ax-platform", "ax", (1, 3, 1), "ax")
SYNE_TUNE = Library("Syne Tune", "syne-tune", "syne_tune", (0, 16), "syne-tune")
