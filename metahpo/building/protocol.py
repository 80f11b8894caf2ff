"""The protocol: what makes trials of a meta-dataset comparable."""

from __future__ import annotations

from dataclasses import dataclass

from metahpo.tasks.task import Task

#: Raised when a change makes recorded trials incomparable with new ones.
PROTOCOL_VERSION = 1


@dataclass(frozen=True)
class Protocol:
    """How trials of a meta-dataset are measured.

    Attributes
    ----------
    n_folds : int
        Folds of the (stratified) cross-validation.
    max_rows : int
        Larger tasks are subsampled (stratified) to this many rows.
    seed : int
        Seed of subsample, folds and learners.
    """

    n_folds: int = 3
    max_rows: int = 2000
    seed: int = 0

    @property
    def name(self) -> str:
        """Text that is part of every trial's identity."""
        return f"v{PROTOCOL_VERSION}-cv{self.n_folds}-rows{self.max_rows}"

    def prepare(self, task: Task) -> Task:
        """The task as it is measured: subsampled, classes too rare for the folds dropped."""
        return task.subsample(self.max_rows, self.seed).without_rare_classes(self.n_folds)
