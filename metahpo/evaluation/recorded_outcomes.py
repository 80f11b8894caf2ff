"""Recorded errors of held-out tasks, and a model of the same configurations that is learnt without their families."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from metahpo.exceptions import DataError
from metahpo.metadata.families import family_groups
from metahpo.metadata.fit_losses import as_rows, mean_of_known
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.cash import to_cash
from metahpo.space.configuration import to_json
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.improvement import ImprovementModel, change_of

#: Groups of families, of which each is left out in turn.
GROUPS = 5


@dataclass(frozen=True, eq=False)
class RecordedOutcome:
    """A held-out task.

    Attributes
    ----------
    task, family : str
    rows : float
        Rows trained on.
    model : ImprovementModel
        Learnt without the family.
    meta_features : dict of str to float
    fits : ndarray of shape (n, F)
        Error of each fit of the n configurations of the model; NaN where nothing was recorded, and where a learner was
        fitted less often than others.
    metric : str
    """

    task: str
    family: str
    rows: float
    model: ImprovementModel
    meta_features: Mapping[str, float]
    fits: NDArray[np.float64]
    metric: str

    @property
    def errors(self) -> NDArray[np.float64]:
        """Mean error over the fits, of shape (n,); NaN for failed configurations."""
        return mean_of_known(self.fits)

    @property
    def default(self) -> int:
        """Row of the library's default."""
        return self.model.reference

    def changes(self, errors: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Change of the error against the default's, of shape (n,); `errors` (n,) default to those of all fits."""
        errors = self.errors if errors is None else errors
        return np.array([change_of(float(error), float(errors[self.default]), self.metric) for error in errors])

    @property
    def standard_error(self) -> float:
        """Standard error of the mean difference of a configuration to the default.

        All configurations of the task share one value, because a single configuration has few fits. It comes from the
        median of their variances, so configurations that diverge do not change it. The median of a chi-square variable
        turns it into a mean. NaN where there is one fit.
        """
        others, n_fits = np.delete(self.fits, self.default, axis=0), self.fits.shape[1]
        differences = others - self.fits[self.default]
        known = differences[np.isfinite(differences).all(axis=1)]
        if n_fits < 2 or not len(known):
            return float("nan")
        variance = np.median(known.var(axis=1, ddof=1)) * (n_fits - 1) / chi2.median(n_fits - 1)
        return float(np.sqrt(variance / n_fits))


def recorded_outcomes(md: MetaDataset, space: str | None, held_out: Sequence[str]) -> Iterator[RecordedOutcome]:
    """Held-out tasks, from experience that knows none of their families.

    Tasks whose default failed, makes no error, or was not recorded are left out.

    Parameters
    ----------
    md : MetaDataset
    space : str or None
        None: all learners together, on the tasks on which they are compared.
    held_out : sequence of str
        Names of tasks.

    Raises
    ------
    DataError
        The tasks that are left share too few configurations to learn from, or have no meta-features.
    """
    families = md.tasks.loc[list(held_out), "family"].astype(str)
    model, metric = learn_improvement(md.drop(families=sorted(set(families))), space), md.metrics[0]
    if model is None or md.meta_features is None:
        whose = space or "all learners"
        raise DataError(f"{md.name} has too few tasks with a shared design of {whose} and with meta-features.")
    names = list(map(str, md.meta_features.columns))
    of_task = dict(tuple(md.trials_of(space).groupby("task", sort=False)))
    for task in (task for task in held_out if task in of_task):
        own = of_task[task]
        named = zip(own["space"], own["configuration"], strict=True)
        texts = [joint_text(s, text) if space is None else to_json(json.loads(text)) for s, text in named]
        places = {text: i for i, text in enumerate(texts)}
        recorded = as_rows(own[f"folds.{metric}"])
        fits = np.full((len(model.configurations), recorded.shape[1]), np.nan)
        for i, text in enumerate(model.configurations):
            if text in places:
                fits[i] = recorded[places[text]]
        if not float(mean_of_known(fits)[model.reference]) > 0.0:
            continue
        features = dict(zip(names, md.meta_features.loc[task].to_numpy(np.float64).tolist(), strict=True))
        rows = float(md.tasks["n_rows"].astype(float)[task])
        yield RecordedOutcome(task, families[task], rows, model, features, fits, metric)


def joint_text(space: str, configuration: str) -> str:
    """Text of a recorded configuration of a learner in the space of all learners together."""
    return to_json(to_cash(space, json.loads(configuration)))


def groups_of_tasks(md: MetaDataset, n_groups: int = GROUPS) -> list[list[str]]:
    """Names of the tasks of each group of families: the same meta-dataset gives the same groups."""
    groups = family_groups(md.tasks["family"].astype(str).tolist(), n_groups, np.random.default_rng(0))
    return [[str(task) for task in md.tasks.index[groups == group]] for group in range(n_groups)]
