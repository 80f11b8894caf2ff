"""One line about a running search: on a terminal, or a line a trial where the user wants to read them."""

from __future__ import annotations

import sys
import time

import numpy as np

from metahpo.search.search_trial import SearchTrial


class Progress:
    """Tells how far a search has come.

    On a terminal one line of the standard error is written again and again; with ``verbose`` from 1 on, a line a trial
    goes to the standard output, as scikit-learn's do.

    Parameters
    ----------
    n_trials : int
        Trials to come; 0 where that is not known.
    deadline : float
        Reading of ``time.monotonic`` at which the search ends; may be infinite.
    verbose : int
    """

    def __init__(self, n_trials: int, deadline: float, verbose: int) -> None:
        self._n_trials, self._deadline, self._verbose = n_trials, deadline, verbose
        self._began = time.monotonic()
        self._line = not verbose and sys.stderr is not None and sys.stderr.isatty()
        self._width = 0

    def begin(self) -> None:
        """The first trial begins: on a terminal, say so, because it may take long."""
        if self._line:
            of = f" of {self._n_trials}" if self._n_trials else ""
            self._write(f"trial 1{of} runs")

    def tell(self, n_ended: int, trial: SearchTrial, score: float, best: float) -> None:
        """A trial has ended.

        Parameters
        ----------
        n_ended : int
            Trials that have ended.
        score, best : float
            Score of the trial and of the best one; NaN where there is none.
        """
        if not self._verbose and not self._line:
            return
        of = f"/{self._n_trials}" if self._n_trials else ""
        text = f"trial {n_ended}{of}, best score {best:.4g}, {_clock(self._left(n_ended))} left"
        if self._verbose:
            told = f"{score:.4g}" if np.isfinite(score) else "failed"
            status = " (stopped early)" if trial.status == "stopped" else ""
            sys.stdout.write(f"{text}: {told}{status} in {trial.seconds:.1f} s with {trial.parameters}\n")
            sys.stdout.flush()
            return
        self._write(text)

    def _write(self, text: str) -> None:
        """Write the line of the terminal anew."""
        sys.stderr.write(f"\r{text:<{self._width}}")
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        """Leave the line of the terminal."""
        if self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._width = 0

    def _left(self, n_ended: int) -> float:
        now = time.monotonic()
        by_trials = (now - self._began) / n_ended * (self._n_trials - n_ended) if self._n_trials else np.inf
        return max(0.0, min(by_trials, self._deadline - now))


def _clock(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
