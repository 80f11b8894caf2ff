"""The result of an evaluation, as tables and figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from metahpo.evaluation.baselines.baseline import label_of
from metahpo.evaluation.predictive_calibration import calibration_table
from metahpo.evaluation.ranking import Ranking, compare_to, rank_methods
from metahpo.evaluation.regret import ALL_SPACES, mean_regret, trials_to_match
from metahpo.evaluation.report_text import AGAINST_DEFAULT, CALIBRATION, COMPARISON, COST, PROTOCOL, Settings, findings
from metahpo.exceptions import DataError, UnknownNameError

if TYPE_CHECKING:
    from metahpo.evaluation.canvas import ReportFigure
    from metahpo.evaluation.plan import Provenance

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
    settings : Settings
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
    """

    regrets: pd.DataFrame
    costs: pd.DataFrame
    settings: Settings
    notes: tuple[str, ...] = ()
    against_default: pd.DataFrame | None = None
    coverage: pd.DataFrame | None = None
    usual: pd.DataFrame | None = None
    over_seconds: pd.DataFrame | None = None
    failures: pd.DataFrame | None = None
    tasks: pd.DataFrame | None = None
    provenance: Provenance | None = None

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order given; the first is the reference of comparisons."""
        return list(self.settings.n_replays)

    @property
    def milestones(self) -> list[int]:
        """Numbers of trials at which tables are read; the last is the last trial."""
        last = self.settings.n_trials
        return [*(trial for trial in MILESTONES if trial < last), last]

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

    def save(self, path: str | Path) -> None:
        """Write the report as one HTML file that needs no network.

        Raises
        ------
        MissingDependencyError
            jinja2 or matplotlib is not installed.
        """
        from metahpo.evaluation.report import Section, render

        sections = []
        for name, drawn in self.figures().items():
            table = drawn.table if name == "ranking" else _curves_in_brief(drawn.table, self.milestones)
            sections.append(
                Section(drawn.title, [drawn.caption], drawn.svg(), _readable(table), folded=name != "regret")
            )
        if len(self.methods) > 1:
            text = COMPARISON.format(label_of(self.methods[0]))
            sections.append(Section("Wins, ties, losses", [text], table=_readable(self._comparison_table())))
        verdicts = self.default_verdicts()
        if verdicts is not None:
            title = "The first configuration against the library's default"
            sections.append(Section(title, [AGAINST_DEFAULT], table=_readable(verdicts)))
        calibrated = self.calibration()
        if calibrated is not None:
            sections.append(Section("Quality of predictions", [CALIBRATION], table=_readable(calibrated)))
        sections += [
            Section("Cost", [COST], table=_readable(self.costs.round(3))),  # microseconds are nothing
            Section("How it was measured", [PROTOCOL, self.settings.in_words(self.regrets), *self.notes]),
        ]
        title = "Hyperparameter optimisation on held-out tasks"
        page = render(title, self.findings(), sections, f"metahpo {version('metahpo')}")
        Path(path).write_text(page, encoding="utf-8")

    def __str__(self) -> str:
        curves = self._summary.drop(columns="n_tasks")
        tables = [("Mean normalised regret after n trials", _curves_in_brief(curves, self.milestones))]
        verdicts = self.default_verdicts()
        if verdicts is not None:
            tables.append(("First configuration against the library default (tasks)", verdicts))
        calibrated = self.calibration()
        if calibrated is not None:
            shown = calibrated.drop(columns="n_tasks").round(3)
            tables.append(("Coverage of intervals and log density, of configurations not observed", shown))
        printed = [f"{title}:\n{_readable(table).to_string(index=False)}" for title, table in tables]
        return "\n\n".join([*printed, "\n".join([*self.findings(), *self.notes])])

    def findings(self) -> list[str]:
        """Say in sentences what was found: regrets early and late, and trials saved."""
        return findings(self._summary, self.methods)

    def _comparison_table(self) -> pd.DataFrame:
        last = self.settings.n_trials
        table = self.comparison(trials=sorted({1, min(5, last), last}))
        return table[table["space"] == ALL_SPACES] if ALL_SPACES in set(table["space"]) else table


def check_report(path: str | Path) -> None:
    """Raise before an evaluation what :meth:`EvaluationReport.save` would raise after it.

    Raises
    ------
    MissingDependencyError
        jinja2 or matplotlib is not installed.
    DataError
        The path is a folder, or lies in none that can be written.
    """
    for module in ("figures", "ranking_figure", "report"):
        import_module(f"metahpo.evaluation.{module}")
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DataError(f"the report {str(path)!r} must be a file in a folder that exists and can be written.")


def _curves_in_brief(curves: pd.DataFrame, milestones: Sequence[int]) -> pd.DataFrame:
    """Curves at the milestones: a row a space and method, a column a number of trials."""
    at = curves[curves["trial"].isin(milestones)]
    error = at["standard_error"].map(" ± {:.3f}".format).where(at["standard_error"].notna(), "")
    at = at.assign(value=at["regret"].map("{:.3f}".format) + error)
    wide = at.set_index(["space", "method", "trial"])["value"].unstack(sort=False)
    return wide.rename(columns=lambda trial: f"@{trial}").rename_axis(columns=None).reset_index()


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Names as a reader sees them; without the column of spaces where there is one space."""
    names = {column: table[column].map(label_of) for column in ("space", "method") if column in table}
    table = table.assign(**names).rename(columns=label_of)
    return table.drop(columns="space") if "space" in table and table["space"].nunique() == 1 else table
