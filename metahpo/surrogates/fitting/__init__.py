"""Training of surrogates on recorded trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.surrogates.fitting.component_learning import PARTS
    from metahpo.surrogates.fitting.improvement_learning import learn_improvement
    from metahpo.surrogates.fitting.marginal_likelihood import NegativeLogLikelihood
    from metahpo.surrogates.fitting.release_training import Trained, train_release
    from metahpo.surrogates.fitting.source_tasks import SourceTask
    from metahpo.surrogates.fitting.training import TrainingSettings, train_on_tables, train_surrogate
    from metahpo.surrogates.fitting.training_batches import TrialBatches, informative
    from metahpo.surrogates.fitting.training_loop import TrainingLoop

__all__ = [
    "PARTS",
    "NegativeLogLikelihood",
    "SourceTask",
    "Trained",
    "TrainingLoop",
    "TrainingSettings",
    "TrialBatches",
    "informative",
    "learn_improvement",
    "train_on_tables",
    "train_release",
    "train_surrogate",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
