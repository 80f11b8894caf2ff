"""Plans over a dataset cache: the selection of tasks, and the configurations for all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from metahpo.building.plan import Plan, PlannedTask
from metahpo.building.protocol import SIZES, Protocol
from metahpo.datasets.cache import read_sidecar, read_sidecars, task_kind, task_modality
from metahpo.exceptions import DataError
from metahpo.learners.extras import check_installed
from metahpo.learners.registry import default_learners, learner_named
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.design import sobol_design
from metahpo.space.near_default import near_default_design
from metahpo.tasks.metric import recorded_metric_names
from metahpo.tasks.target import TaskKind
from metahpo.tasks.task import Modality

#: Seed of the shared designs.
DESIGN_SEED = 0
#: How datasets of each modality are called in messages.
_OF: Mapping[Modality, str] = {"table": "tabular", "image": "of images", "text": "of texts"}


def make_plan(
    cache: Path | str,
    *,
    keys: Sequence[str] | None = None,
    modality: Modality = "table",
    learners: Sequence[str] | None = None,
    n_configurations: int = 32,
    n_near_default: int = 0,
    protocol: Protocol | None = None,
    sizes: Sequence[int] = SIZES,
    min_rows: int = 120,
    max_features: int = 1000,
    max_classes: int = 50,
    max_per_family: int = 6,
    exclude_families: Sequence[str] = (),
) -> Plan:
    """Plan a build over a dataset cache.

    Parameters
    ----------
    cache : path
        Folder of the dataset cache.
    keys : sequence of str, default=None
        Datasets by key, whatever their size and modality; None takes every dataset of the modality within the limits
        below, but for those whose sidecar is damaged.
    modality : {"table", "image", "text"}, default="table"
        Of the datasets that are taken where no keys are given, and of the default learners.
    learners : sequence of str, default=None
        Names of learners; None takes, for tables, linear, svm, knn, random_forest, extra_trees and boosting, and
        lightgbm and xgboost where they are installed; for images convnet; for texts text_linear and text.
    n_configurations : int, default=32
        Configurations of each learner on each task that cover its space evenly, the default among them.
    n_near_default : int, default=0
        Further ones near the default: see :func:`metahpo.space.near_default.near_default_design`.
    protocol : Protocol, default=None
        How trials are measured.
    sizes : sequence of int, default=(300, 1200, 5000, 20000)
        Rows to train on. A dataset makes a task of each size that it has the rows for: see
        :meth:`metahpo.building.protocol.Protocol.sizes`.
    min_rows, max_features, max_classes, max_per_family : int
        Limits on the datasets taken; that on the columns is for tables. Of a family the largest are kept, so that no
        origin outweighs the rest.
    exclude_families : sequence of str, default=()
        Families to leave out, to judge by later.

    Raises
    ------
    UnknownNameError
        An unknown learner.
    MissingDependencyError
        A learner that is named needs a library that is not installed.
    StoreError
        An unknown key or folder.
    DataError
        No dataset of the cache is within the limits, none has a task of the sizes, or a size is not positive.
    """
    if not sizes or min(sizes) < 1:
        raise DataError(f"sizes are numbers of rows to train on, such as {SIZES}, but are {tuple(sizes)}.")
    protocol = protocol or Protocol()
    names = tuple(learners or default_learners(modality))
    chosen: list[PlannedTask] = []
    of_family: dict[str, int] = {}
    sidecars = read_sidecars(cache)[0] if keys is None else {key: read_sidecar(cache, key) for key in keys}
    n_taken = 0
    for key in sorted(sidecars, key=lambda k: (-_cost(sidecars[k], None), k)):
        sidecar = sidecars[key]
        kind = task_kind(sidecar)
        passed_over = keys is None and task_modality(sidecar) != modality
        if kind is None or passed_over or sidecar.get("family") in exclude_families:
            continue
        family = str(sidecar.get("family") or key)
        unfit = (
            (sidecar.get("n_rows") or min_rows) < min_rows
            or (modality == "table" and (sidecar.get("n_features") or 0) > max_features)
            or (sidecar.get("n_classes") or 0) > max_classes
            or of_family.get(family, 0) >= max_per_family
        )
        if keys is None and unfit:
            continue
        if "@" in key:
            raise DataError(f"the dataset key {key!r} holds an @, which marks the size of a task; rename its files.")
        of_family[family] = of_family.get(family, 0) + 1
        n_taken += 1
        n_rows = int(sidecar.get("n_rows") or min_rows)
        chosen += [
            PlannedTask(key, kind, _cost(sidecar, size), size, protocol.fits_of_repeat(n_rows, size))
            for size in protocol.sizes(n_rows, sizes)
        ]
    if not n_taken:
        raise DataError(
            f"none of the {len(sidecars)} datasets in {str(cache)!r} is {_OF[modality]} and within the limits "
            f"({min_rows} rows and more, at most {max_features} features and {max_classes} classes)."
        )
    if not chosen:
        raise DataError(f"none of the {n_taken} datasets chosen has the rows for a task of the sizes {tuple(sizes)}.")
    chosen.sort(key=lambda task: (task.cost, task.key))
    kinds = {task.kind for task in chosen}
    for kind in kinds:
        recorded_metric_names(protocol.metrics, kind)  # a metric that does not exist is refused before any trial
    check_installed(learner_named(name, kind) for kind in sorted(kinds) for name in names)
    designs = shared_designs(kinds, names, n_configurations, DESIGN_SEED, n_near_default)
    return Plan(str(Path(cache).absolute()), tuple(chosen), names, designs, protocol)


def trained_together(plan: Plan) -> frozenset[str]:
    """Learners of a plan that train the trials of a batch at once."""
    kinds = {task.kind for task in plan.tasks}
    return frozenset(name for name in plan.learners if all(learner_named(name, kind).batched for kind in kinds))


def shared_designs(
    kinds: Collection[TaskKind], learners: Sequence[str], n_configurations: int, seed: int, n_near_default: int = 0
) -> dict[TaskKind, dict[str, list[Configuration]]]:
    """Configurations of each learner for each kind of task: the default, a Sobol sequence, then some near the default.

    Raises
    ------
    UnknownNameError
        An unknown learner.
    """

    def design(name: str, kind: TaskKind) -> list[Configuration]:
        space = learner_named(name, kind).space
        even, near = sobol_design(space, n_configurations, seed), near_default_design(space, n_near_default, seed)
        return list({to_json(configuration): configuration for configuration in (*even, *near)}.values())

    return {kind: {name: design(name, kind) for name in learners} for kind in sorted(kinds)}


def _cost(sidecar: Mapping[str, object], size: int | None) -> float:
    """Rough size of the work: rows to train on x columns, times classes where there are any."""
    rows, columns, classes = (float(str(sidecar.get(k) or 1)) for k in ("n_rows", "n_features", "n_classes"))
    return (size or rows) * (columns + 10.0) * max(1.0, classes - 1.0)
