"""Tasks: datasets with a target, a kind, splits and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.tasks.columns import TableReading, is_texts
    from metahpo.tasks.containers import is_sparse
    from metahpo.tasks.images import as_images
    from metahpo.tasks.metric import (
        DEFAULT_METRIC,
        METRICS,
        Metric,
        classification_losses,
        extra_losses,
        known_metric,
        metric_named,
        metric_names,
        recorded_metric_names,
        register_metric,
        regression_losses,
        scorer_of,
        unregister_metric,
    )
    from metahpo.tasks.modality import as_task, modality_of
    from metahpo.tasks.pipeline import ReadColumns, TaskPipeline
    from metahpo.tasks.preprocessing import Encoding
    from metahpo.tasks.row_sketch import rows_in_common
    from metahpo.tasks.scorers import OWN_SCORE, check_scorer, name_of, nearest_metric
    from metahpo.tasks.target import KINDS, TaskKind, as_target, infer_kind, is_continuous
    from metahpo.tasks.task import Modality, Task
    from metahpo.tasks.texts import as_texts, words_of
    from metahpo.tasks.written import needs_comma, number_writing

__all__ = [
    "DEFAULT_METRIC",
    "KINDS",
    "METRICS",
    "OWN_SCORE",
    "Encoding",
    "Metric",
    "Modality",
    "ReadColumns",
    "TableReading",
    "Task",
    "TaskKind",
    "TaskPipeline",
    "as_images",
    "as_target",
    "as_task",
    "as_texts",
    "check_scorer",
    "classification_losses",
    "extra_losses",
    "infer_kind",
    "is_continuous",
    "is_sparse",
    "is_texts",
    "known_metric",
    "metric_named",
    "metric_names",
    "modality_of",
    "name_of",
    "nearest_metric",
    "needs_comma",
    "number_writing",
    "recorded_metric_names",
    "register_metric",
    "regression_losses",
    "rows_in_common",
    "scorer_of",
    "unregister_metric",
    "words_of",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
