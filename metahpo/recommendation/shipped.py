"""Which experience ships with the package, and how the rest is made."""

from __future__ import annotations

from collections.abc import Mapping

from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.tasks.task import Modality, Task, TaskKind

#: Meta-datasets that ship for each kind of task of a table: of all learners together, and of those recorded apart,
#: because their trials are of other tasks.
SHIPPED: Mapping[TaskKind, str] = {"classification": "tabular_classification", "regression": "tabular_1200_regression"}
SHIPPED_APART: Mapping[str, Mapping[TaskKind, str]] = {
    "mlp": {"classification": "networks_classification", "regression": "networks_regression"}
}
#: Learners that are made for images, and for texts.
NETWORKS: Mapping[Modality, str] = {"image": "convnet", "text": "text"}


def shipped_name(kind: TaskKind, modality: Modality, learner: str | None = None) -> str:
    """Name of the meta-dataset that ships for such tasks and that learner, None: for all that can be compared.

    Raises
    ------
    DataError
        None ships for tasks of images or of texts; the message names the commands that make one.
    """
    if modality != "table":
        raise DataError(f"no experience with {modality}s ships. {how_to_make(modality)}")
    return SHIPPED_APART.get(learner or "", SHIPPED)[kind]


def check_modality(md: MetaDataset, task: Task) -> None:
    """Refuse a task unlike all recorded ones.

    Raises
    ------
    DataError
        Its rows are another thing than those of the recorded tasks.
    """
    # A tasks table without a word on it is of tables.
    known = sorted(md.tasks["modality"].fillna("table").unique()) if "modality" in md.tasks else ["table"]
    if task.modality not in known:
        hint = "" if task.modality == "table" else f" {how_to_make(task.modality)}"
        raise DataError(
            f"{md.name!r} is experience with {' and '.join(f'{modality}s' for modality in known)}, but the rows of the "
            f"task are {task.modality}s.{hint}"
        )


def how_to_make(modality: Modality) -> str:
    """The commands that make experience with images or texts, which are classified."""
    name = f"my_{modality}s"
    build = f"metahpo build run runs/{name} --cache DATASETS --tasks KEY ... --learners {NETWORKS[modality]}"
    release = f"metahpo release runs/{name} {name} --kind classification"
    return (
        f"Make your own: `{build}`, `{release}`, `metahpo train {name}`; then give "
        f'recommender=Recommender("{name}"), from metahpo. MetaSearchCV(..., warm_start=False) needs none. Rows of a '
        "table come as a DataFrame, or as an array of shape (n_rows, n_features)."
    )
