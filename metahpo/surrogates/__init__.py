"""Surrogates, models that predict the performance of configurations before and after trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.surrogates.artefact import (
        load_surrogate,
        register_surrogate_kind,
        save_surrogate,
        surrogate_path,
        unregister_surrogate_kind,
    )
    from metahpo.surrogates.cold_surrogate import JITTER, ColdSurrogate, FittedProcess, fitted_theta
    from metahpo.surrogates.cost import SIZE_COLUMNS, CostModel, cost_path
    from metahpo.surrogates.explanation import Effect, Explanation, explain
    from metahpo.surrogates.fitting.component_learning import PARTS
    from metahpo.surrogates.fitting.improvement_learning import learn_improvement
    from metahpo.surrogates.fitting.source_tasks import SourceTask
    from metahpo.surrogates.fitting.training import TrainingSettings, train_on_tables, train_surrogate
    from metahpo.surrogates.fitting.training_batches import TrialBatches, informative
    from metahpo.surrogates.fitting.training_loop import TrainingLoop
    from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate, standardised
    from metahpo.surrogates.improvement import Improvement, ImprovementModel, change_of, error_floor, improvement_path
    from metahpo.surrogates.improvement_on_task import (
        ImprovementOnTask,
        MeasuredChanges,
        given_losses,
        residual_covariance,
    )
    from metahpo.surrogates.learning_curves import FinalLoss, LearningCurves
    from metahpo.surrogates.loss_spread import failed_as_worse, power_of_two, spread_of
    from metahpo.surrogates.mapped import MappedSurrogate
    from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
    from metahpo.surrogates.mixture.source_functions import matern52
    from metahpo.surrogates.posterior import LOG_SQRT_2PI, Posterior
    from metahpo.surrogates.process import Process, process_of
    from metahpo.surrogates.surrogate import (
        AdaptiveSurrogate,
        Configurations,
        Observed,
        Surrogate,
        TaskSurrogate,
        TrainedSurrogate,
        encoded,
        encoded_trials,
        on_task,
    )
    from metahpo.surrogates.task_cost import TaskCost

__all__ = [
    "JITTER",
    "LOG_SQRT_2PI",
    "PARTS",
    "SIZE_COLUMNS",
    "AdaptiveSurrogate",
    "ColdSurrogate",
    "Configurations",
    "CostModel",
    "Effect",
    "Explanation",
    "FinalLoss",
    "FittedProcess",
    "GaussianProcessSurrogate",
    "Improvement",
    "ImprovementModel",
    "ImprovementOnTask",
    "LearningCurves",
    "MappedSurrogate",
    "MeasuredChanges",
    "MetaLearnedSurrogate",
    "Observed",
    "Posterior",
    "Process",
    "SourceTask",
    "Surrogate",
    "TaskCost",
    "TaskSurrogate",
    "TrainedSurrogate",
    "TrainingLoop",
    "TrainingSettings",
    "TrialBatches",
    "change_of",
    "cost_path",
    "encoded",
    "encoded_trials",
    "error_floor",
    "explain",
    "failed_as_worse",
    "fitted_theta",
    "given_losses",
    "improvement_path",
    "informative",
    "learn_improvement",
    "load_surrogate",
    "matern52",
    "on_task",
    "power_of_two",
    "process_of",
    "register_surrogate_kind",
    "residual_covariance",
    "save_surrogate",
    "spread_of",
    "standardised",
    "surrogate_path",
    "train_on_tables",
    "train_surrogate",
    "unregister_surrogate_kind",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
