"""Learning of the mixture components, by the marginal likelihood of the z-scores of held-out tasks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from metahpo.exceptions import UnknownNameError
from metahpo.numerics.device import device_named
from metahpo.surrogates.fitting.kernel_learning import KernelSettings
from metahpo.surrogates.fitting.source_tasks import HeldOutTask, source_features_of
from metahpo.surrogates.fitting.training_batches import TrialBatches
from metahpo.surrogates.fitting.training_loop import LogDensities, TrainingLoop, TrainingState
from metahpo.surrogates.loss_spread import spread_of
from metahpo.surrogates.mixture.mixture import Mixture, MixtureComponents
from metahpo.surrogates.mixture.source_functions import ZScoreKernel

#: Interquartile range of the standard normal distribution.
NORMAL_QUARTILES = 1.349
#: Parts of the mixture that can be left out -> their coefficients and logarithms of variances, which become zero.
PARTS: dict[str, tuple[str, ...]] = {
    "expected function": ("mean_slope", "log_mean_slope_variance"),
    "likeness to one task": ("slope", "log_slope_variance"),
    "span of all tasks": ("log_span_variance",),
    "what records leave open": ("log_open_variance",),
    "learnt maps": ("log_mapped_variance",),
    "columns": ("log_plain_variance",),
}
#: Logarithm of a variance that is practically zero.
LOG_OF_NO_VARIANCE = -40.0


@dataclass(frozen=True)
class ComponentSettings(KernelSettings):
    """Settings of learning the components. Their batches have the sizes of those of the kernel."""

    component_steps: int = 150
    """Steps of the optimiser for the components of the mixture."""
    component_rate: float = 0.05
    """Learning rate of these steps. The last third of the steps uses a third of it."""
    without: tuple[str, ...] = ()
    """Parts of the mixture to leave out in an ablation, by their names in `PARTS` of its module."""


def learn_components(
    kernel: ZScoreKernel,
    tasks: Sequence[HeldOutTask],
    settings: ComponentSettings,
    generator: torch.Generator,
    training_loop: TrainingLoop,
    validate: Callable[[MixtureComponents], LogDensities] | None = None,
) -> MixtureComponents:
    """Learn the components that maximise the likelihood of the z-scores of each task, given other families.

    The likelihood is of z-scores, because they are what a posterior predicts. A search observes losses, which have an
    unknown shift and factor.
    """
    device = device_named(settings.device)
    records = [new.task for new in tasks]
    batches = TrialBatches(records)
    components = MixtureComponents().double()
    spreads = [spread_of(record.loss.numpy()) for record in records]
    log_spreads = np.log([spread for spread in spreads if spread > 0.0])
    low, middle, high = np.quantile(log_spreads, [0.25, 0.5, 0.75])  # robust to tasks whose losses hardly differ
    components.log_spread = torch.tensor([middle, (high - low) / NORMAL_QUARTILES], dtype=torch.float64)
    leave_out(components, settings.without)
    mixture = Mixture(copy.deepcopy(kernel).to(device), components.to(device))
    optimizer = torch.optim.Adam(components.parameters(), lr=settings.component_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, max(1, 2 * settings.component_steps // 3), gamma=1 / 3)
    training_state = TrainingState(components, optimizer, schedule, generator)
    for _ in training_loop.steps(
        "components", settings.component_steps, training_state, validate and partial(validate, components)
    ):
        n = int(torch.randint(2, settings.batch_trials + 1, (1,), generator=generator))
        batch = batches.sample(settings.batch_tasks, n, generator, greed=1.0)
        drawn = [tasks[i] for i in batch.tasks.tolist()]
        trials = source_features_of(drawn, batch.X).to(device)
        log_prior = components.log_prior(torch.stack([new.distances for new in drawn]).to(device))
        K = mixture.covariances(trials, trials)
        log_density = mixture.log_density(trials, K, batch.z.to(device)) + log_prior
        loss = -torch.logsumexp(log_density.flatten(1), 1).mean() / batch.z.shape[1]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        components.keep_fixed()
        optimizer.step()
        schedule.step()
    return components.cpu().requires_grad_(False)


def leave_out(components: MixtureComponents, parts: Collection[str]) -> None:
    """Leave some of `PARTS` out of the model, and do not learn them.

    Raises
    ------
    UnknownNameError
        No such part.
    """
    for part in parts:
        if part not in PARTS:
            raise UnknownNameError("part of the mixture", part, tuple(PARTS))
    for name in (name for part in parts for name in PARTS[part]):
        parameter: nn.Parameter = getattr(components, name)
        parameter.data.fill_(LOG_OF_NO_VARIANCE if name.startswith("log_") else 0.0)
        parameter.requires_grad_(False)
