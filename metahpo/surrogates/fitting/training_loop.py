"""The course of a training: progress, validation, early stopping, and a checkpoint from which it goes on.

A training is a sequence of stages, each of them steps of an optimiser; what lies between stages is determined by them
and is quickly done again. The checkpoint holds the outcome of every finished stage, and of the one under way all that
its next step depends on. An interrupted training, started again, ends as it would have without the interruption, to the
bit.
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
#: Mean log density of held-out scores, one for each number of trials shown: higher is better.
Score = tuple[float, ...]


@dataclass(frozen=True)
class Descent:
    """All that the next step of a stage depends on: parameters, optimiser, learning rates and random numbers."""

    module: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    generator: torch.Generator

    def state(self) -> State:
        """Copy of it as tensors and plain values."""
        return copy.deepcopy(
            {
                "module": self.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "generator": self.generator.get_state(),
            }
        )

    def restore(self, state: State) -> None:
        """Go back to a :meth:`state`."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])


@dataclass(frozen=True)
class Validation:
    """What a stage was worth after so many steps, on task families held out of it."""

    stage: str
    step: int
    score: Score

    def __str__(self) -> str:
        densities = ", ".join(f"{value:.4f}" for value in self.score)
        return f"{self.stage}, step {self.step}: log density of held-out scores {densities}"


class Course:
    """Follows one training.

    Parameters
    ----------
    checkpoint : path or str, default=None
        File that the training is kept in while it lasts, and from which it goes on when started again.
    progress : bool, default=False
        Show a bar for each stage (in a terminal), and print every validation.

    Attributes
    ----------
    validations : list of Validation
        In the order in which they were made.
    """

    def __init__(self, checkpoint: Path | str | None = None, *, progress: bool = False) -> None:
        self.validations: list[Validation] = []
        self._path = None if checkpoint is None else Path(checkpoint)
        self._progress = progress
        self._identity, self._every, self._patience = "", 1, 0
        self._finished: dict[str, State] = {}
        self._under_way: State = {}

    def begin(self, identity: str, every: int, patience: int) -> None:
        """Begin, or go on.

        Parameters
        ----------
        identity : str
            Of what is learnt from and how: another training does not go on from this one's checkpoint.
        every : int
            Steps between validations, and between writes of the checkpoint.
        patience : int
            Validations in a row without a better one that end a stage, which then goes back to its best; 0: never.

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
        self, stage: str, n_steps: int, descent: Descent, score: Callable[[], Score] | None = None
    ) -> Iterator[int]:
        """Numbers of the steps that are still to be made: the body of the loop makes one each.

        Parameters
        ----------
        stage : str
            Name, of its own.
        n_steps : int
        descent : Descent
            Restored before the first step to what the checkpoint says, if it does.
        score : callable, default=None
            Validates the module as it is.
        """
        if stage in self._finished:
            descent.restore(self._finished[stage])
            return
        first, best_value, best, stale = 0, -np.inf, None, 0
        if self._under_way.get("stage") == stage:
            first, best_value, best, stale = (self._under_way[k] for k in ("step", "best value", "best", "stale"))
            descent.restore(self._under_way["state"])
        quiet = None if self._progress else True  # None: quiet where there is no terminal
        with tqdm(total=n_steps, initial=first, desc=stage, disable=quiet) as bar:
            for step in range(first, n_steps):
                yield step
                bar.update()
                if (step + 1) % self._every and step + 1 < n_steps:
                    continue
                if score is not None:
                    value = self._validate(stage, step + 1, score())
                    stale = 0 if value > best_value else stale + 1
                    if stale == 0 and self._patience:
                        best_value, best = value, copy.deepcopy(descent.module.state_dict())
                    if self._patience and stale >= self._patience:
                        break
                if self._path is not None:
                    self._under_way = {"stage": stage, "step": step + 1, "state": descent.state()}
                    self._under_way |= {"best value": best_value, "best": best, "stale": stale}
                    self._write(self._path)
        if best is not None:
            descent.module.load_state_dict(best)
        if self._path is not None:
            self._finished[stage], self._under_way = descent.state(), {}
            self._write(self._path)

    def _validate(self, stage: str, step: int, score: Score) -> float:
        validation = Validation(stage, step, score)
        self.validations.append(validation)
        if self._progress:
            tqdm.write(str(validation))
        return float(np.mean(score))

    def _write(self, path: Path) -> None:
        content = {
            "identity": self._identity,
            "finished": self._finished,
            "under way": self._under_way,
            "validations": [(v.stage, v.step, v.score) for v in self.validations],
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
