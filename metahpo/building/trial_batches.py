"""Batches of trials for workers.

A batch takes a second or two, so that the driver is no bottleneck. Learners that train configurations at once get
batches of the largest size, because larger batches cost less for each trial.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from metahpo.trials.trial import TrialKey

#: Seconds of work that a batch should hold: far more than sending it costs, little enough to share the last ones out.
TARGET_SECONDS = 2.0
#: Trials of a batch at most: what a lost worker held is run again.
MAX_BATCH = 64


class Pace:
    """Seconds that a trial of each learner takes: a running mean, in which the last batch counts for half.

    Parameters
    ----------
    together : container of str, default=()
        Learners that train the trials of a batch at once.
    """

    def __init__(self, together: Container[str] = ()) -> None:
        self._together = together
        self._seconds: dict[str, float] = {}

    def observe(self, learner: str, n_trials: int, seconds: float) -> None:
        """Record the duration of a batch of `n_trials`."""
        if n_trials:
            new = seconds / n_trials
            self._seconds[learner] = (self._seconds.get(learner, new) + new) / 2.0

    def batch_size(self, learner: str) -> int:
        """Number of trials of a learner in a batch; one while its duration is unknown."""
        if learner in self._together:
            return MAX_BATCH
        seconds = self._seconds.get(learner, TARGET_SECONDS)
        return int(min(MAX_BATCH, max(1.0, TARGET_SECONDS / max(seconds, 1e-9))))


def in_batches(keys: Iterable[TrialKey], pace: Pace) -> Iterator[list[TrialKey]]:
    """Batches of one learner, task and repeat each, so that a worker prepares the rows once for all of them.

    A batch is made when the engine draws it. Its size follows from the current values of `pace`.
    """
    batch: list[TrialKey] = []
    for key in keys:
        same = batch and (batch[0].task, batch[0].learner, batch[0].seed) == (key.task, key.learner, key.seed)
        if batch and not (same and len(batch) < pace.batch_size(key.learner)):
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch
