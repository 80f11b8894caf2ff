"""The settings of an evaluation: made once, checked when made, stored in the plan and in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any, Literal, Self, TypedDict, Unpack

from metahpo.exceptions import DataError, UnknownNameError
from metahpo.numerics.seed import check_whole_seed

#: Number of folds, or one fold a family.
Folds = int | Literal["family"]


class SettingChanges(TypedDict, total=False):
    """Settings by keyword; those that are not named stay."""

    n_trials: int
    n_folds: Folds
    n_seeds: int
    random_state: int
    metric: str | None
    spaces: Sequence[str | None] | None
    default_first: bool
    honest: bool
    understand: bool
    sample: str


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings that, with the meta-dataset and the methods, determine the numbers of an evaluation.

    Attributes
    ----------
    n_trials : int, default=50
        Trials of each search. A task with fewer recorded configurations is searched to its end.
    n_folds : int or "family", default=5
        Folds of task families; "family" leaves out each family in turn.
    n_seeds : int, default=1
        How often each method learns and searches, with the seeds `random_state`, `random_state` + 1, ...
    random_state : int, default=0
        Decides the folds and every random pick; the same number gives the same regrets on any number of processes.
    metric : str, default=None
        None: the default metric of the meta-dataset. Where the scorer was not recorded, the nearest metric stands for
        it, and a note says which. The settings of a report name the metric that was taken.
    spaces : tuple of str or None, default=None
        Search spaces to evaluate in, each on its own; None among them is the CASH space over all learners. None: every
        learner's space.
    default_first : bool, default=True
        Make the library's default the first trial of every search, cold ones too. In the CASH space it is the default
        of the learner whose default ranks best on the training tasks. Where it was not recorded, a note says so.
    honest : bool, default=False
        Choose configurations by one half of a task's fits and judge them by the other half. The usual regret is
        measured as well: :attr:`~metahpo.evaluation.result.EvaluationReport.usual`.
    understand : bool, default=False
        Describe the hyperparameters by the recorded trials: their importance, good ranges, better defaults.
    sample : str, default=""
        Part of the meta-dataset that was taken, in words, which the report repeats; empty: all of it.

    Raises
    ------
    DataError
        `n_trials` or `n_seeds` that is no whole number from 1 on, `n_folds` that is neither one from 2 on nor "family",
        or a `random_state` that is none from 0 on.
    """

    n_trials: int = 50
    n_folds: Folds = 5
    n_seeds: int = 1
    random_state: int = 0
    metric: str | None = None
    spaces: tuple[str | None, ...] | None = None
    default_first: bool = True
    honest: bool = False
    understand: bool = False
    sample: str = ""

    def __post_init__(self) -> None:
        spaces: Any = self.spaces
        n_folds: Any = self.n_folds
        if spaces is not None:
            if isinstance(spaces, str):
                raise DataError(f"spaces must be a sequence of names, but is the text {spaces!r}; write a list.")
            object.__setattr__(self, "spaces", tuple(spaces))
        numbers: dict[str, Any] = {"n_trials": self.n_trials, "n_seeds": self.n_seeds}
        for name, number in numbers.items():
            if not _is_whole(number):
                raise DataError(f"{name} must be a whole number, but is {number!r}.")
            if number < 1:
                raise DataError(f"{name} must be at least 1, but is {number}.")
        check_whole_seed(self.random_state)
        if n_folds != "family" and (not _is_whole(n_folds) or n_folds < 2):
            raise DataError(f'n_folds must be a number of at least 2 or "family", but is {n_folds!r}.')

    def but(self, **changes: Unpack[SettingChanges]) -> Self:
        """The same settings with some of them changed.

        Raises
        ------
        DataError
            See the class.
        UnknownNameError
            There is no such setting; the message lists those there are.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise UnknownNameError("setting", name, known)
        given: Mapping[str, object] = changes
        return replace(self, **given)  # type: ignore[arg-type]  # the names were checked


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)
