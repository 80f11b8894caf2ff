"""Meta-features of other packages: a function of the task, and the formulas of its values.

They are computed only if they are named. A recommender computes those in its meta-dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from metahpo.exceptions import PluginError
from metahpo.metafeatures.definition import MetaFeature
from metahpo.registry import Registry
from metahpo.tasks.task import Task


@dataclass(frozen=True)
class MetaFeatureGroup:
    """Meta-features that one function computes.

    Attributes
    ----------
    formulas : mapping of str to str
        Name of each meta-feature, without dots -> what is computed, in words and symbols.
    compute : callable
        Task -> value of each; one that is left out, or NaN, is not defined for the task. Equal tasks must give equal
        values, so a random draw needs a seed of its own.
    source : str, default=""
        Where they were proposed.
    """

    formulas: Mapping[str, str]
    compute: Callable[[Task], Mapping[str, float]]
    source: str = ""

    def definitions(self, name: str) -> tuple[MetaFeature, ...]:
        """Definitions of the group that is known by `name`: meta-features are called ``GROUP.NAME``."""
        return tuple(MetaFeature(f"{name}.{own}", name, formula, self.source) for own, formula in self.formulas.items())

    def values(self, name: str, task: Task) -> dict[str, float]:
        """Value of each meta-feature of a task, in the order of :meth:`definitions`; NaN: not defined.

        Raises
        ------
        PluginError
            The function fails, or returns what is not of the group.
        """
        try:
            found = {own: float(value) for own, value in self.compute(task).items()}
        except Exception as error:
            raise PluginError(
                f"the meta-features {name!r} cannot be computed of {task.name!r}: {type(error).__name__}: {error}. "
                "Mend their function, or leave them out."
            ) from error
        if not found.keys() <= self.formulas.keys():
            raise PluginError(
                f"the meta-features {name!r} are {', '.join(self.formulas)}, but their function returned "
                f"{', '.join(found)}. Give each a formula."
            )
        return {f"{name}.{own}": found.get(own, float("nan")) for own in self.formulas}


_GROUPS: Registry[MetaFeatureGroup] = Registry(
    "group of meta-features",
    "metahpo.meta_features",
    {},
    expected="a MetaFeatureGroup",
    accepts=lambda entry: isinstance(entry, MetaFeatureGroup),
    hint="register_meta_features adds one.",
)


def register_meta_features(name: str, group: MetaFeatureGroup) -> None:
    """Add meta-features, for this process.

    A package offers them to every process by an entry point of the group ``metahpo.meta_features`` that names a
    :class:`MetaFeatureGroup`.

    Raises
    ------
    DataError
        The name is taken or is not plain, or `group` is no :class:`MetaFeatureGroup`.
    """
    _GROUPS.register(name, group)


def unregister_meta_features(name: str) -> None:
    """Remove meta-features that :func:`register_meta_features` added.

    Raises
    ------
    UnknownNameError
        Nothing was registered under the name.
    """
    _GROUPS.unregister(name)


def meta_features_named(name: str) -> MetaFeatureGroup:
    """The group of that name: registered, of an installed package, or ``module:attribute``.

    Raises
    ------
    UnknownNameError
        No such group; the message lists those that exist.
    PluginError
        The group of another package cannot be loaded.
    """
    return _GROUPS.get(name)


def groups_among(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Groups that meta-features of these names come from: those that are known here, and those that are not.

    Names without a dot are of the package. No ``module:attribute`` is imported, because the names come from a file.
    """
    groups = dict.fromkeys(name.rpartition(".")[0] for name in names if "." in name)
    return [group for group in groups if group in _GROUPS], [group for group in groups if group not in _GROUPS]
