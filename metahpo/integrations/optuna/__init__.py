"""Optuna: a sampler with experience, recommendations as the first trials of a study, and search spaces both ways."""

from __future__ import annotations

from metahpo.integrations.libraries import OPTUNA

OPTUNA.load()

from metahpo.integrations.optuna.sampler import MetaSampler  # noqa: E402
from metahpo.integrations.optuna.study import enqueue, tell_study  # noqa: E402
from metahpo.space.optuna_distributions import from_optuna, to_optuna  # noqa: E402

__all__ = ["MetaSampler", "enqueue", "from_optuna", "tell_study", "to_optuna"]
