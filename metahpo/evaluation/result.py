"""The result of an evaluation, as tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from metahpo.evaluation.ablation import worth_of_parts
from metahpo.evaluation.predictive_calibration import calibration_table
from metahpo.evaluation.ranking import Ranking, compare_to, rank_methods
from metahpo.evaluation.regret import last_telling_trial, mean_regret, trials_to_match
from metahpo.evaluation.report_text import findings, in_words, readable
from metahpo.evaluation.settings import EvaluationSettings
from metahpo.evaluation.statistics.bootstrap import mean_intervals
from metahpo.evaluation.statistics.groups import NOVELTIES, SIZES, bins, regret_by, where_it_hurts
from metahpo.evaluation.statistics.pairs import paired_comparison
from metahpo.evaluation.statistics.targets import area_under_curve, speed_up, time_to_targets
from metahpo.exceptions import DataError, UnknownNameError
from metahpo.reports.page import check_page, render

if TYPE_CHECKING:
    from metahpo.evaluation.canvas import ReportFigure
    from metahpo.evaluation.evaluation_plan import Provenance

#: Heading of the page.
TITLE = "Hyperparameter optimisation on held-out tasks"
#: Numbers of trials at which tables are read.
MILESTONES = (1, 2, 3, 5, 10, 15, 25, 50, 100, 200)


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Result of :func:`metahpo.evaluate`.

    Attributes
    ----------
    regrets : DataFrame
        What :meth:`to_frame` returns.
    costs : DataFrame
        Columns space, method, learn_seconds (one fold), suggest_milliseconds (one suggestion).
    settings : EvaluationSettings
        Its metric is the one that was replayed.
    n_replays : mapping of str to int
        Replays of each task over all seeds, by method, in the order of the methods.
    notes : tuple of str
        Tasks that were left out, and why.
    against_default : DataFrame or None
        First pick of each method against the library default, one row a task: columns space, task, family, method,
        verdict, difference, standard_error. None where the meta-dataset holds no losses by fold.
    coverage : DataFrame or None
        Log density of configurations' scores, and the share of them that intervals cover, one row a task, number of
        observations and level: columns space, task, family, method, observations, log_density, level, coverage. None
        where no method predicts scores.
    usual : DataFrame or None
        Where `regrets` are honest, the usual ones: chosen and judged by all fits. The same columns.
    over_seconds : DataFrame or None
        Regret after budgets of recorded seconds: columns space, task, family, method, seconds, regret. None where
        seconds were not recorded.
    failures : DataFrame or None
        Searches that an error of the method ended: columns space, method, seed, task, after (trials), error.
    tasks : DataFrame or None
        The tasks replayed: columns task, family, and what is known of kind, n_rows, n_features, n_classes, novelty.
    provenance : Provenance or None
        Where the numbers come from.
    understanding : dict of str to DataFrame
        What the recorded trials tell of hyperparameters and tasks: see :mod:`metahpo.evaluation.understanding`.
    n_recorded : int or None
        Recorded configurations of a task, in the median over tasks. None: not known.
    """

    regrets: pd.DataFrame
    costs: pd.DataFrame
    settings: EvaluationSettings
    n_replays: Mapping[str, int]
    notes: tuple[str, ...] = ()
    against_default: pd.DataFrame | None = None
    coverage: pd.DataFrame | None = None
    usual: pd.DataFrame | None = None
    over_seconds: pd.DataFrame | None = None
    failures: pd.DataFrame | None = None
    tasks: pd.DataFrame | None = None
    provenance: Provenance | None = None
    understanding: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    n_recorded: int | None = None

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order given; the first is the reference of comparisons."""
        return list(self.n_replays)

    @property
    def milestones(self) -> list[int]:
        """Numbers of trials at which tables are read; the last is the last trial."""
        last = self.settings.n_trials
        return [*(trial for trial in MILESTONES if trial < last), last]

    @property
    def moments(self) -> list[int]:
        """Numbers of trials at which methods are tested against each other, everywhere the same: early, five, all."""
        last = self.settings.n_trials
        return sorted({min(2 if self.settings.default_first else 1, last), min(5, last), last})

    @property
    def compared_at(self) -> int | None:
        """Number of trials up to which trials saved are counted; None: they cannot be counted.

        See :func:`~metahpo.evaluation.regret.last_telling_trial`.
        """
        return last_telling_trial(self._summary, self.n_recorded)

    def to_frame(self) -> pd.DataFrame:
        """Regret of the incumbent, one row for each space, task, method and trial.

        Returns
        -------
        DataFrame
            Columns space, task, family, method, trial (1 = the first), regret (normalised, in [0, 1]).
        """
        return self.regrets

    def summary(self) -> pd.DataFrame:
        """Mean normalised regret for each space, method and trial, and over all spaces.

        Returns
        -------
        DataFrame
            Columns space, method, trial, regret, standard_error (over families), n_tasks. See
            :func:`~metahpo.evaluation.regret.mean_regret`.
        """
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return mean_regret(self.regrets)

    def ranking(self, trial: int | None = None) -> Ranking:
        """Average ranks after `trial` trials (None: the last).

        Raises
        ------
        DataError
            There is a single method.
        """
        if len(self.methods) < 2:
            raise DataError(f"a ranking needs at least two methods, but only {self.methods[0]!r} was evaluated.")
        return rank_methods(self.regrets, self.settings.n_trials if trial is None else trial)

    def comparison(self, reference: str | None = None, trials: Sequence[int] | None = None) -> pd.DataFrame:
        """Wins, ties, losses and paired tests of one method against each other one.

        Parameters
        ----------
        reference : str, default=None
            A method; None: the first.
        trials : sequence of int, default=None
            None: the report's milestones.

        Returns
        -------
        DataFrame
            See :func:`~metahpo.evaluation.ranking.compare_to`.
        """
        reference = self.methods[0] if reference is None else reference
        if reference not in self.methods:
            raise UnknownNameError("method", reference, self.methods)
        return compare_to(self.regrets, reference, self.milestones if trials is None else trials)

    def trials_to_match(self, baseline: str) -> pd.DataFrame:
        """Trials that each method needs to be as good as `baseline` is at the end.

        Returns
        -------
        DataFrame
            See :func:`~metahpo.evaluation.regret.trials_to_match`.
        """
        if baseline not in self.methods:
            raise UnknownNameError("method", baseline, self.methods)
        return trials_to_match(self._summary, baseline)

    def default_verdicts(self) -> pd.DataFrame | None:
        """Count for each space and method: first picks better than, equal to and worse than the library default.

        Returns
        -------
        DataFrame or None
            Columns space, method, better, equal, worse; None where the meta-dataset holds no losses by fold. Equal:
            within one standard error of the default's cross-validation.
        """
        if self.against_default is None:
            return None
        counts = (
            self.against_default.groupby(["space", "method"], sort=False)["verdict"]
            .value_counts()
            .unstack(fill_value=0)
        )
        return (
            counts.reindex(columns=["better", "equal", "worse"], fill_value=0).rename_axis(columns=None).reset_index()
        )

    def calibration(self) -> pd.DataFrame | None:
        """Coverage of the methods' intervals, and log density, on held-out tasks, of configurations not observed.

        Returns
        -------
        DataFrame or None
            Columns space, method, observations, 50 %, 80 %, 95 %, log_density, n_tasks: see
            :func:`~metahpo.evaluation.predictive_calibration.calibration_table`. None where no method predicts scores.
        """
        return None if self.coverage is None else calibration_table(self.coverage)

    def figures(self) -> dict[str, ReportFigure]:
        """Draw the figures, each with its table.

        Returns
        -------
        dict of str to ReportFigure
            Keys regret, regret_by_space (several spaces), ranking (several methods).

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        from metahpo.evaluation.figures import regret_by_space_figure, regret_figure
        from metahpo.evaluation.ranking_figure import ranking_figure

        drawn = {"regret": regret_figure(self._summary)}
        if self.regrets["space"].nunique() > 1:
            drawn["regret_by_space"] = regret_by_space_figure(self._summary)
        if len(self.methods) > 1:
            at = self.milestones
            drawn["ranking"] = ranking_figure([self.ranking(t) for t in sorted({at[0], at[len(at) // 2], at[-1]})])
        return drawn

    def usual_summary(self) -> pd.DataFrame | None:
        """What :meth:`summary` returns, of the usual regret; None unless `regrets` are honest."""
        return None if self.usual is None else mean_regret(self.usual)

    def intervals(self, trials: Sequence[float] | None = None, column: str = "trial") -> pd.DataFrame:
        """Mean regret of each method over all spaces, with 95 % bootstrap intervals over families.

        Parameters
        ----------
        trials : sequence, default=None
            Numbers of trials, or of seconds; None: all there are.
        column : {"trial", "seconds"}, default="trial"
            What is spent.

        Returns
        -------
        DataFrame
            Columns method, trial (or seconds), regret, low, high.

        Raises
        ------
        DataError
            Seconds were not recorded.
        """
        spent = self._spent(column)
        at = spent if trials is None else spent[spent[column].isin(trials)]
        table = at.pivot_table("regret", ["space", "family", "task"], ["method", column], sort=False)
        found = mean_intervals(table).reset_index().rename(columns={"mean": "regret"})
        order = {method: i for i, method in enumerate(self.methods)}
        key = found["method"].map(order)
        return found.assign(key=key).sort_values(["key", column], ignore_index=True).drop(columns="key")

    def paired(self, trials: Sequence[int] | None = None, reference: str | None = None) -> pd.DataFrame:
        """One method against each other one: see :func:`~metahpo.evaluation.statistics.pairs.paired_comparison`.

        Parameters
        ----------
        trials : sequence of int, default=None
            None: :attr:`moments`.
        reference : str, default=None
            None: the first method.
        """
        if trials is None and reference is None:
            return self._paired.copy()
        return paired_comparison(self.regrets, self._known(reference), self.moments if trials is None else trials)

    @cached_property
    def _paired(self) -> pd.DataFrame:
        return paired_comparison(self.regrets, self.methods[0], self.moments)

    def speed(self, reference: str | None = None) -> pd.DataFrame:
        """Ratios of trials until a method is as good as each other one after :attr:`compared_at` trials.

        See :mod:`metahpo.evaluation.statistics.targets`.
        """
        regrets = self.regrets
        if self.compared_at is not None:
            regrets = regrets[regrets["trial"] <= self.compared_at]
        return speed_up(regrets, self._known(reference))

    def area(self) -> pd.DataFrame:
        """Mean regret over all trials, by method, with intervals."""
        return area_under_curve(self.regrets)

    def targets(self, column: str = "trial") -> pd.DataFrame:
        """Share of tasks on which regrets are reached, and after how many trials or seconds.

        Raises
        ------
        DataError
            Seconds were not recorded.
        """
        return time_to_targets(self._spent(column), column)

    def parts(self) -> pd.DataFrame | None:
        """What each part is worth: see :func:`~metahpo.evaluation.ablation.worth_of_parts`."""
        return worth_of_parts(self.regrets, self.moments)

    def where_it_hurts(self, trial: int | None = None, n: int = 10, reference: str | None = None) -> pd.DataFrame:
        """Tasks on which a method loses most against the best of the others, by name.

        Parameters
        ----------
        trial : int, default=None
            None: five, or the last.
        n : int, default=10
        reference : str, default=None
            None: the first method.
        """
        at = min(5, self.settings.n_trials) if trial is None else trial
        return where_it_hurts(self.regrets, self._known(reference), at, n)

    def by_groups(self, trial: int | None = None) -> dict[str, pd.DataFrame]:
        """Regret by novelty, size, kind and family of tasks, where these are known and there is more than one group.

        Returns
        -------
        dict of str to DataFrame
            See :func:`~metahpo.evaluation.statistics.groups.regret_by`.
        """
        if self.tasks is None:
            return {}
        at = min(5, self.settings.n_trials) if trial is None else trial
        known = self.tasks.set_index("task")
        labels: dict[str, pd.Series] = {}
        if "novelty" in known and known["novelty"].notna().any():
            labels["novelty"] = bins(known["novelty"], NOVELTIES)
        if "n_rows" in known:
            labels["size"] = bins(known["n_rows"].astype(float), SIZES, "rows")
        if "n_classes" in known and "kind" in known:
            several = known["n_classes"].fillna(0) > 2
            labels["kind"] = (
                known["kind"].astype(str).where(~several, known["kind"].astype(str) + " of several classes")
            )
        elif "kind" in known:
            labels["kind"] = known["kind"].astype(str)
        labels["family"] = known["family"].astype(str)
        found = {name: regret_by(self.regrets, label, at) for name, label in labels.items()}
        return {name: table for name, table in found.items() if table["group"].nunique() > 1}

    def in_brief(self, curves: pd.DataFrame | None = None) -> pd.DataFrame:
        """Mean regrets at the milestones as text, with standard errors: a row a space and method."""
        shown = self._summary if curves is None else curves
        return _curves_in_brief(shown.drop(columns="n_tasks"), self.milestones)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table of the report, by name."""
        made: dict[str, pd.DataFrame | None] = {
            "regret": self.regrets,
            "usual_regret": self.usual,
            "regret_over_seconds": self.over_seconds,
            "mean_regret": self._summary,
            "intervals": self.intervals(),
            "first_picks": self.against_default,
            "first_picks_counted": self.default_verdicts(),
            "coverage": self.coverage,
            "calibration": self.calibration(),
            "area": self.area(),
            "targets": self.targets(),
            "where_it_hurts": self.where_it_hurts(),
            "parts": self.parts(),
            "costs": self.costs,
            "failures": self.failures,
            "tasks": self.tasks,
        }
        if len(self.methods) > 1:
            made |= {"paired": self.paired(), "comparison": self.comparison(), "speed_up": self.speed()}
        made |= {f"by_{name}": table for name, table in self.by_groups().items()}
        made |= self.understanding
        return {name: table for name, table in made.items() if table is not None and len(table)}

    def summary_sentences(self) -> list[str]:
        """Three sentences: how good the first method is, how soon, and where it fails."""
        from metahpo.evaluation.report_page import summary_sentences

        return summary_sentences(self)

    def save(self, path: str | Path, *, beside: bool = True) -> None:
        """Write the report as one HTML file that needs no network.

        Parameters
        ----------
        path : path
        beside : bool, default=True
            Write the numbers beside it: ``NAME.json``, ``NAME.md``, ``NAME_tables/*.csv``, ``NAME_figures/*.svg``
            and ``NAME_tasks/TASK.html``.

        Raises
        ------
        MissingDependencyError
            jinja2 or matplotlib is not installed.
        DataError
            The path is a folder, or lies in none that can be written.
        """
        from metahpo.evaluation.report_files import footer, write_beside
        from metahpo.evaluation.report_page import sections

        check_page(path)
        path = Path(path)
        page = render(TITLE, self.summary_sentences(), sections(self), footer(self))
        path.write_text(page, encoding="utf-8")
        if beside:
            write_beside(self, path)

    def _known(self, method: str | None) -> str:
        if method is not None and method not in self.methods:
            raise UnknownNameError("method", method, self.methods)
        return method or self.methods[0]

    def _spent(self, column: str) -> pd.DataFrame:
        if column not in ("trial", "seconds"):
            raise UnknownNameError("budget", column, ["trial", "seconds"])
        if column == "trial":
            return self.regrets
        if self.over_seconds is None:
            raise DataError("the meta-dataset records no seconds, so that regret over seconds is not known.")
        return self.over_seconds

    def __str__(self) -> str:
        tables = [("Mean normalised regret after n trials", self.in_brief())]
        verdicts = self.default_verdicts()
        if verdicts is not None:
            tables.append(("First configuration against the library default (tasks)", verdicts))
        calibrated = self.calibration()
        if calibrated is not None:
            shown = calibrated.drop(columns="n_tasks").round(3)
            tables.append(("Coverage of intervals and log density, of configurations not observed", shown))
        printed = [f"{title}:\n{readable(table).to_string(index=False)}" for title, table in tables]
        return "\n\n".join([*printed, "\n".join([*self.findings(), *self.notes])])

    def protocol(self) -> str:
        """Say in sentences how it was measured."""
        return in_words(self.settings, self.n_replays, self.regrets)

    def findings(self) -> list[str]:
        """Say in sentences what was found: regrets early and late, and trials saved."""
        return findings(self._summary, self.methods, self.n_recorded)


def check_report(path: str | Path) -> None:
    """Raise before an evaluation what :meth:`EvaluationReport.save` would raise after it.

    Raises
    ------
    MissingDependencyError
        jinja2 or matplotlib is not installed.
    DataError
        The path is a folder, or lies in none that can be written.
    """
    for module in ("figures", "ranking_figure"):
        import_module(f"metahpo.evaluation.{module}")
    check_page(path)


def _curves_in_brief(curves: pd.DataFrame, milestones: Sequence[int]) -> pd.DataFrame:
    """Curves at the milestones: a row a space and method, a column a number of trials."""
    at = curves[curves["trial"].isin(milestones)]
    error = at["standard_error"].map(" ± {:.3f}".format).where(at["standard_error"].notna(), "")
    at = at.assign(value=at["regret"].map("{:.3f}".format) + error)
    wide = at.set_index(["space", "method", "trial"])["value"].unstack(sort=False)
    return wide.rename(columns=lambda trial: f"@{trial}").rename_axis(columns=None).reset_index()
