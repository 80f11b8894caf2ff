"""The training loop: progress, validation, early stopping and a checkpoint to resume from.

A training is a sequence of stages. Each stage is a sequence of optimiser steps. Computations between stages are
deterministic and are repeated on resume. The checkpoint holds the result of every finished stage and the training state
of the current one. A training that is interrupted and resumed gives bitwise the same result as one without an
interruption.
"""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from metahpo.exceptions import ArtefactError, StoreError

State = dict[str, Any]
#: Mean log density of held-out z-scores for each number of observed trials. Higher is better.
LogDensities = tuple[float, ...]


@dataclass(frozen=True)
class TrainingState:
    """Everything that the next step of a stage depends on; it is what a checkpoint stores."""

    module: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    generator: torch.Generator

    def state(self) -> State:
        """Return a copy as tensors and plain values."""
        return copy.deepcopy(
            {
                "module": self.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "generator": self.generator.get_state(),
            }
        )

    def restore(self, state: State) -> None:
        """Restore a copy that :meth:`state` returned."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])


@dataclass(frozen=True)
class Validation:
    """Quality of a stage after a number of steps, on held-out task families."""

    stage: str
    step: int
    log_densities: LogDensities

    def __str__(self) -> str:
        densities = ", ".join(f"{value:.4f}" for value in self.log_densities)
        return f"{self.stage}, step {self.step}: log density of held-out z-scores {densities}"


class TrainingLoop:
    """Runs the steps of one training with validation and checkpoints.

    Parameters
    ----------
    checkpoint : path or str, default=None
        Checkpoint file. The training resumes from it if it exists. None writes no checkpoint.
    progress : bool, default=False
        Show a progress bar for each stage in a terminal, and print every validation.

    Attributes
    ----------
    validations : list of Validation
        Validations in the order in which they were made.
    """

    def __init__(self, checkpoint: Path | str | None = None, *, progress: bool = False) -> None:
        self.validations: list[Validation] = []
        self._path = None if checkpoint is None else Path(checkpoint)
        self._progress = progress
        self._identity, self._every, self._patience = "", 1, 0
        self._finished: dict[str, State] = {}
        self._under_way: State = {}

    def begin(self, identity: str, every: int, patience: int) -> None:
        """Start a training, or resume it from the checkpoint.

        Parameters
        ----------
        identity : str
            Digest of data and settings. A checkpoint with another identity is an error.
        every : int
            Steps between validations, and between writes of the checkpoint.
        patience : int
            Number of validations without improvement after which a stage stops and restores its best parameters. 0
            disables
        early stopping.

        Raises
        ------
        ArtefactError
            The checkpoint is of another training, or is damaged.
        """
        self._identity, self._every, self._patience = identity, every, patience
        kept = self._read()
        self._finished, self._under_way = kept.get("finished", {}), kept.get("under way", {})
        self.validations = [Validation(*parts) for parts in kept.get("validations", ())]

    def steps(
        self,
        stage: str,
        n_steps: int,
        training_state: TrainingState,
        validate: Callable[[], LogDensities] | None = None,
    ) -> Iterator[int]:
        """Iterate over the numbers of the remaining steps. The body of the caller's loop makes one step.

        Parameters
        ----------
        stage : str
            Unique name of the stage.
        n_steps : int
        training_state : TrainingState
            State that the steps change. It is restored from the checkpoint before the first step, if there is one.
        validate : callable, default=None
            Returns the log densities of the current module.
        """
        if stage in self._finished:
            training_state.restore(self._finished[stage])
            return
        first, best_value, best, stale = 0, -np.inf, None, 0
        if self._under_way.get("stage") == stage:
            first, best_value, best, stale = (self._under_way[k] for k in ("step", "best value", "best", "stale"))
            training_state.restore(self._under_way["state"])
        quiet = None if self._progress else True  # None: quiet where there is no terminal
        with tqdm(total=n_steps, initial=first, desc=stage, disable=quiet) as bar:
            for step in range(first, n_steps):
                yield step
                bar.update()
                if (step + 1) % self._every and step + 1 < n_steps:
                    continue
                if validate is not None:
                    value = self._record(stage, step + 1, validate())
                    stale = 0 if value > best_value else stale + 1
                    if stale == 0 and self._patience:
                        best_value, best = value, copy.deepcopy(training_state.module.state_dict())
                    if self._patience and stale >= self._patience:
                        break
                if self._path is not None:
                    self._under_way = {"stage": stage, "step": step + 1, "state": training_state.state()}
                    self._under_way |= {"best value": best_value, "best": best, "stale": stale}
                    self._write(self._path)
        if best is not None:
            training_state.module.load_state_dict(best)
        if self._path is not None:
            self._finished[stage], self._under_way = training_state.state(), {}
            self._write(self._path)

    def _record(self, stage: str, step: int, log_densities: LogDensities) -> float:
        validation = Validation(stage, step, log_densities)
        self.validations.append(validation)
        if self._progress:
            tqdm.write(str(validation))
        return float(np.mean(log_densities))

    def _write(self, path: Path) -> None:
        content = {
            "identity": self._identity,
            "finished": self._finished,
            "under way": self._under_way,
            "validations": [(v.stage, v.step, v.log_densities) for v in self.validations],
        }
        temporary = path.with_name(f".{os.getpid()}.{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise StoreError(f"the checkpoint {str(path)!r} cannot be written: {error}.") from error

    def _read(self) -> State:
        if self._path is None or not self._path.exists():
            return {}
        advice = "Remove it to train from the start, or give the checkpoint another name"
        try:
            content = torch.load(self._path, map_location="cpu", weights_only=True)
            identity = content["identity"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise ArtefactError(f"{str(self._path)!r} is no checkpoint, or damaged: {error}. {advice}.") from error
        if identity != self._identity:
            raise ArtefactError(
                f"the checkpoint {str(self._path)!r} is of another training: of other trials, settings, random_state "
                f"or version. {advice}."
            )
        state: State = content
        return state
