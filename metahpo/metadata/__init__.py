"""Meta-datasets: recorded trials, task families, meta-features, files and releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.metadata.configuration_numbers import ConfigurationNumbers
    from metahpo.metadata.datasheet import overview, provenance, reliability, to_markdown
    from metahpo.metadata.families import family_folds, family_groups, family_split
    from metahpo.metadata.fit_losses import as_rows, half_means, mean_of_known, standard_errors
    from metahpo.metadata.hpob import INITIALISATIONS, META_FEATURES, SPLITS
    from metahpo.metadata.meta_dataset import MetaDataset, check_meta_dataset
    from metahpo.metadata.task_table import TaskTable, digest_of_tables

__all__ = [
    "INITIALISATIONS",
    "META_FEATURES",
    "SPLITS",
    "ConfigurationNumbers",
    "MetaDataset",
    "TaskTable",
    "as_rows",
    "check_meta_dataset",
    "digest_of_tables",
    "family_folds",
    "family_groups",
    "family_split",
    "half_means",
    "mean_of_known",
    "overview",
    "provenance",
    "reliability",
    "standard_errors",
    "to_markdown",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
