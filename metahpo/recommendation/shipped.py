"""Which experience ships with the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metahpo.exceptions import DataError, UnknownNameError
from metahpo.learners.registry import learner_names
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.tasks.task import Modality, Task, TaskKind

#: Meta-datasets that ship for each modality and kind of task: of learners that are compared, and of single learners
#: that were measured apart.
SHIPPED: Mapping[tuple[Modality, TaskKind], str] = {
    ("table", "classification"): "tabular_classification",
    ("table", "regression"): "tabular_regression",
    ("image", "classification"): "images",
    ("text", "classification"): "texts",
}
SHIPPED_APART: Mapping[tuple[Modality, TaskKind], Mapping[str, str]] = {
    ("table", "classification"): {"mlp": "networks_classification"},
    ("table", "regression"): {"mlp": "networks_regression"},
}


@dataclass(frozen=True)
class Answered:
    """What a meta-dataset that ships is asked for.

    Attributes
    ----------
    name : str
        Of the meta-dataset.
    modality : {"table", "image", "text"}
    kind : {"classification", "regression"}
    together : bool
        Whether it answers where no learner is named, or several.
    learners : tuple of str
        Learners that it answers for where one of them is named.
    """

    name: str
    modality: Modality
    kind: TaskKind
    together: bool
    learners: tuple[str, ...]


def answered() -> list[Answered]:
    """What each meta-dataset that ships is asked for; those that answer nothing are left out."""
    found = []
    for (modality, kind), compared in SHIPPED.items():
        for name in dict.fromkeys([compared, *SHIPPED_APART.get((modality, kind), {}).values()]):
            recorded = release.read_manifest(release.shipped_folder(name))["spaces"]
            own = tuple(learner for learner in recorded if shipped_name(kind, modality, learner) == name)
            found.append(Answered(name, modality, kind, name == compared, own))
    return found


def shipped_name(kind: TaskKind, modality: Modality, learner: str | None = None) -> str:
    """Name of the meta-dataset that ships for such tasks and that learner, None: for all that can be compared."""
    return SHIPPED_APART.get((modality, kind), {}).get(learner or "", SHIPPED[modality, kind])


def check_learner(learner: str, kind: TaskKind, modality: Modality, recorded: Sequence[str]) -> None:
    """Refuse a learner that nothing ships for.

    Parameters
    ----------
    learner : str
    kind : {"classification", "regression"}
    modality : {"table", "image", "text"}
    recorded : sequence of str
        Learners of the meta-dataset that ships for such tasks.

    Raises
    ------
    DataError
        The package has the learner, but nothing was recorded of it for such tasks.
    UnknownNameError
        There is no such learner.
    """
    if learner in recorded:
        return
    known = list(dict.fromkeys([*recorded, *SHIPPED_APART.get((modality, kind), {})]))
    hint = "Experience ships with these; `metahpo build` makes more."
    if learner in learner_names(kind):
        raise DataError(
            f"no experience with the learner {learner!r} ships for {kind} of {modality}s, only with "
            f"{', '.join(known)}. `metahpo build` makes more; "
            f"MetaSearchCV(..., {learner!r}, warm_start=False) needs none."
        )
    raise UnknownNameError("learner", learner, known, hint)


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
        raise DataError(
            f"{md.name!r} is experience with {' and '.join(f'{modality}s' for modality in known)}, but the rows of the "
            f"task are {task.modality}s. Leave the recommender out: such experience ships. Rows of a table come as a "
            "DataFrame, or as an array of shape (n_rows, n_features)."
        )
