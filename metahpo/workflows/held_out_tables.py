"""Real tables that experience is judged on, and the experience that must do without their families."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from metahpo.building.protocol import Protocol, Split
from metahpo.datasets.cache import read_sidecars
from metahpo.exceptions import DataError
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.artefact import surrogate_path
from metahpo.surrogates.cost import CostModel, cost_path
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.fitting.training import TrainingSettings, train_surrogate
from metahpo.surrogates.improvement import improvement_path
from metahpo.tasks.task import Task

#: Tables have so many rows at least, and so many columns at most.
MIN_ROWS, MAX_COLUMNS = 1000, 300
#: Groups of families, each of which is left out of the experience together.
GROUPS = 5


@dataclass(frozen=True)
class TableFolds(Protocol):
    """A protocol that makes three folds of a whole table, stratified where there are classes."""

    n_folds: int = 3

    def splits(self, task: Task, size: int | None, repeat: int = 0) -> list[Split]:
        """Rows of the folds: equal arguments give equal rows."""
        from sklearn.model_selection import KFold, StratifiedKFold

        kind = KFold if task.kind == "regression" else StratifiedKFold
        return list(kind(self.n_folds, shuffle=True, random_state=repeat).split(task.X, task.y))


@dataclass(frozen=True)
class HeldOutGroup:
    """Tables that are judged together.

    Attributes
    ----------
    tables : dict of str to str
        Key in the dataset cache -> family.
    families : tuple of str
        Families of the meta-dataset that the experience must do without.
    """

    tables: dict[str, str]
    families: tuple[str, ...]


def held_out_groups(
    md: MetaDataset,
    cache: Path,
    *,
    n_families: int | None = None,
    n_groups: int = GROUPS,
    rows: tuple[int, float] = (MIN_ROWS, np.inf),
    recorded: bool = False,
) -> list[HeldOutGroup]:
    """Tables of a dataset cache in groups of families: the same arguments give the same groups.

    Parameters
    ----------
    md : MetaDataset
    cache : path
    n_families : int, default=None
        Draw so many families at random; None: all.
    n_groups : int, default=5
    rows : (int, float)
        The fewest and the most rows of a table.
    recorded : bool, default=False
        Take only tables that are tasks of the meta-dataset, with all of their rows.

    Raises
    ------
    DataError
        The cache has no such table.
    """
    kind = str(md.tasks["kind"].iloc[0])
    whole = _recorded_whole(md)
    tables = {
        key: str(sidecar.get("family") or key)
        for key, sidecar in sorted(read_sidecars(cache)[0].items())
        if sidecar["kind"] == kind
        and rows[0] <= int(sidecar["n_rows"]) <= rows[1]
        and int(sidecar["n_features"]) <= MAX_COLUMNS
        and (not recorded or whole.get(key) == int(sidecar["n_rows"]))
    }
    if not tables:
        raise DataError(f"{str(cache)!r} has no table of {rows[0]} to {rows[1]} rows for {kind}; ask for other rows.")
    families = list(np.random.default_rng(0).permutation(sorted(set(tables.values()))))[:n_families]
    trained_on = set(md.tasks["family"].astype(str))
    return [
        HeldOutGroup(
            {key: family for key, family in tables.items() if family in group},
            tuple(str(family) for family in group if family in trained_on),
        )
        for group in (families[i::n_groups] for i in range(n_groups))
        if len(group)
    ]


def experience_without(
    md: MetaDataset,
    families: tuple[str, ...],
    learner: str,
    folder: Path,
    settings: TrainingSettings | None = None,
) -> Path:
    """Train the experience of one learner without some families, once, and keep it in a folder.

    Parameters
    ----------
    md : MetaDataset
    families : tuple of str
    learner : str
    folder : path
        The experience is there, or will be: the folder appears whole, or not at all.
    settings : TrainingSettings, default=None

    Returns
    -------
    path
        `folder`, which a :class:`metahpo.Recommender` takes.
    """
    if folder.exists():
        return folder
    left = md.drop(families=list(families)) if families else md
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent)) / folder.name
    left.save(made)
    metric = left.metrics[0]
    surrogate = train_surrogate(left, learner, metric, settings=settings)
    surrogate_path(made, learner, metric).parent.mkdir(exist_ok=True)
    surrogate.save(surrogate_path(made, learner, metric))
    improvement = learn_improvement(left, learner, metric)
    if improvement is not None:
        improvement.save(improvement_path(made, learner, metric))
    cost = CostModel.of(left, learner)
    if cost is not None:
        cost.save(cost_path(made, learner), release.tables_checksum(made))
    try:
        os.replace(made, folder)
    except OSError:  # another process has just made it
        if not folder.exists():
            raise
    shutil.rmtree(made.parent, ignore_errors=True)
    return folder


def _recorded_whole(md: MetaDataset) -> dict[str, int]:
    """Key of each table that is a task of a meta-dataset with all of its rows, and their number."""
    tasks = md.tasks
    if "key" not in tasks or "n_rows_of_dataset" not in tasks:
        return {}
    whole = tasks["size"].isna() if "size" in tasks else tasks["n_rows"] == tasks["n_rows_of_dataset"]
    return dict(zip(tasks["key"].astype(str)[whole], tasks["n_rows_of_dataset"][whole].astype(int), strict=True))
