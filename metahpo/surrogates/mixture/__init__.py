"""The meta-learned surrogate, a mixture of source tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.surrogates.mixture.meta_learned import TRIAL_COUNTS, MetaLearnedSurrogate, mixture_posterior
    from metahpo.surrogates.mixture.mixture import Losses, Mixture, MixtureComponents
    from metahpo.surrogates.mixture.mixture_file import KIND, STORED, Provenance
    from metahpo.surrogates.mixture.source_functions import (
        BANDWIDTHS,
        MIN_RECORD_NOISE,
        RIDGE,
        Located,
        SourceFeatures,
        SourceFunctions,
        TaskSimilarity,
        ZScoreKernel,
        bandwidths_of,
        matern52,
        number_or_nan,
        source_features_at,
        squared_distances,
        task_kernel,
        varies,
    )

__all__ = [
    "BANDWIDTHS",
    "KIND",
    "MIN_RECORD_NOISE",
    "RIDGE",
    "STORED",
    "TRIAL_COUNTS",
    "Located",
    "Losses",
    "MetaLearnedSurrogate",
    "Mixture",
    "MixtureComponents",
    "Provenance",
    "SourceFeatures",
    "SourceFunctions",
    "TaskSimilarity",
    "ZScoreKernel",
    "bandwidths_of",
    "matern52",
    "mixture_posterior",
    "number_or_nan",
    "source_features_at",
    "squared_distances",
    "task_kernel",
    "varies",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
