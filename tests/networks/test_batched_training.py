"""Batched training: each model gets the result that it gets alone, whatever happens to the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metahpo.networks.batched.batched_training import Pool, losses_and_gradient
from metahpo.networks.batched.grouping import stacks, train_models
from metahpo.networks.batched.learning_rate_schedule import factors
from metahpo.networks.batched.optimiser_step import BatchedOptimiser
from metahpo.networks.batched.stacked_network import StackedParameters
from metahpo.networks.batched.training_configuration import (
    OPTIMISERS,
    SCHEDULES,
    BatchedModel,
    ModelStatus,
    Outcome,
    TrainingConfiguration,
)
from metahpo.networks.mlp.compiled.compiled_training import train_on_cpu
from metahpo.networks.mlp.mlp_network import StackedMLP, stacking_order
from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS, MLPShape

N_ROWS, N_NUMBERS, N_CATEGORICAL, N_CODES = 90, 5, 2, 8


def pool(kind: str = "classification", weighted: bool = False, dtype: torch.dtype = torch.float64) -> Pool:
    rng = np.random.default_rng(0)
    numbers = torch.as_tensor(rng.standard_normal((N_ROWS, N_NUMBERS)), dtype=dtype)
    codes = torch.as_tensor(rng.integers(0, N_CODES, (N_ROWS, N_CATEGORICAL)))
    signal = numbers[:, 0] * numbers[:, 1] + (codes[:, 0] > 3)
    target = signal[:, None] if kind == "regression" else (signal > 0.5).long()
    return Pool([numbers, codes], target, torch.as_tensor(rng.random(N_ROWS), dtype=dtype) if weighted else None)


def model(seed: int = 0, n_outputs: int = 2, shape: dict[str, Any] | None = None, **configuration: Any) -> BatchedModel:
    rows = np.arange(N_ROWS)
    return BatchedModel(
        MLPShape(N_NUMBERS, N_CATEGORICAL, N_CODES, n_outputs, **({"width": 8} | (shape or {}))),
        TrainingConfiguration(**({"epochs": 4, "batch_size": 24, "seed": seed} | configuration)),
        rows[:70],
        rows[70:],
    )


def random_models(n: int, n_outputs: int = 2) -> list[BatchedModel]:
    """All kinds of everything; batch sizes few enough that stacks mix the rest."""
    rng = np.random.default_rng(1)
    return [
        model(
            int(rng.integers(3)),
            n_outputs,
            {
                "depth": int(rng.integers(1, 4)),
                "width": int(rng.integers(3, 20)),
                "embedding_size": int(rng.integers(1, 5)),
                "activation": str(rng.choice(ACTIVATIONS)),
                "normalisation": str(rng.choice(NORMALISATIONS)),
                "residual": bool(rng.integers(2)),
                "dropout": float(rng.choice([0.0, 0.3])),
            },
            optimiser=str(rng.choice(OPTIMISERS)),
            learning_rate=float(10 ** rng.uniform(-4, -1.5)),
            weight_decay=float(rng.choice([0.0, 0.1])),
            l1=float(rng.choice([0.0, 1e-3])),
            batch_size=int(rng.choice([16, 70])),
            schedule=str(rng.choice(SCHEDULES)),
            label_smoothing=float(rng.choice([0.0, 0.1])),
            epochs=int(rng.integers(2, 6)),
            patience=int(rng.integers(1, 4)),
        )
        for _ in range(n)
    ]


def train(models: list[BatchedModel], data: Pool, **options: Any) -> list[Outcome]:
    return train_models(models, data, StackedMLP, torch.float64, stacking_order, **options)


def assert_equal_outcomes(one: Outcome, other: Outcome, tolerance: float = 1e-9) -> None:
    assert (one.status, one.best_epoch) == (other.status, other.best_epoch)
    for name in ("train_loss", "validation_loss", "validation_metric"):
        np.testing.assert_allclose(one.history[name], other.history[name], rtol=tolerance)
    for name, values in one.parameters.items():
        np.testing.assert_allclose(values, other.parameters[name], rtol=1e-6, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_model_gives_what_the_configuration_gives_alone(kind: str) -> None:
    models = random_models(40, 2 if kind == "classification" else 1)
    data = pool(kind, weighted=kind == "regression")
    together = train(models, data)
    assert len(stacks(models, 1 << 30)) < len(models) / 2
    for one, outcome in zip(models, together, strict=True):
        assert_equal_outcomes(train([one], data)[0], outcome)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_compiled_training_gives_what_a_stack_gives(kind: str, weighted: bool) -> None:
    models = random_models(40, 2 if kind == "classification" else 1)
    data = pool(kind, weighted)
    for compiled, stacked in zip(train_on_cpu(models, data, torch.float64), train(models, data), strict=True):
        assert_equal_outcomes(compiled, stacked)
        for name, values in stacked.last.second_moment.items():
            np.testing.assert_allclose(compiled.last.second_moment[name], values, rtol=1e-6, atol=1e-9)


def test_single_precision_is_that_of_a_stack() -> None:
    models = [replace(one, configuration=replace(one.configuration, epochs=2)) for one in random_models(40)]
    data = pool(dtype=torch.float32)
    stacked = train_models(models, data, StackedMLP, torch.float32, stacking_order)
    for one, other in zip(train_on_cpu(models, data), stacked, strict=True):
        np.testing.assert_allclose(one.history["train_loss"], other.history["train_loss"], rtol=1e-4, atol=1e-5)


def test_threads_and_neighbours_change_no_bit() -> None:
    models, data = random_models(12), pool(dtype=torch.float32)
    together = train_on_cpu(models, data, n_jobs=2)
    for one, outcome in zip(models, together, strict=True):
        alone = train_on_cpu([one], data)[0]
        assert alone.history["train_loss"] == outcome.history["train_loss"]
        for name, values in alone.parameters.items():
            np.testing.assert_array_equal(values, outcome.parameters[name])


def test_training_goes_on_from_where_it_was() -> None:
    whole, data = model(epochs=4, schedule="constant", patience=9), pool()
    half = replace(whole, configuration=replace(whole.configuration, epochs=2))
    first = train_on_cpu([half], data, torch.float64)[0]
    second = train_on_cpu([replace(half, start=first.last)], data, torch.float64)[0]
    straight = train_on_cpu([whole], data, torch.float64)[0]
    assert first.history["train_loss"] + second.history["train_loss"] == straight.history["train_loss"]


def test_the_order_of_models_does_not_matter() -> None:
    models = random_models(12)
    for forward, backward in zip(train(models, pool()), reversed(train(models[::-1], pool())), strict=True):
        assert_equal_outcomes(forward, backward)


def test_a_diverging_model_is_recorded_and_the_others_go_on() -> None:
    calm = [model(seed) for seed in range(3)]
    wild = model(9, shape={"activation": "relu"}, optimiser="sgd", learning_rate=1e200)
    models = [calm[0], wild, *calm[1:]]
    assert train_on_cpu(models, pool(), torch.float64)[1].status == "diverged"
    outcomes = train(models, pool())
    assert [o.status for o in outcomes] == ["finished", "diverged", "finished", "finished"]
    assert len(outcomes[1].history["train_loss"]) < 4
    assert all(np.isfinite(values).all() for values in outcomes[1].parameters.values())
    for one, other in zip(train(calm, pool()), [outcomes[0], *outcomes[2:]], strict=True):
        assert_equal_outcomes(one, other)


def test_models_stop_each_at_its_own_time() -> None:
    models = [model(0, epochs=3), model(0, epochs=9), model(1, epochs=60, patience=2, learning_rate=0.05)]
    short, long, stopped = train(models, pool())
    assert len(short.history["train_loss"]) == 3
    assert len(long.history["train_loss"]) == 9
    assert stopped.status is ModelStatus.STOPPED
    assert len(stopped.history["train_loss"]) == stopped.best_epoch + 2


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_updates_are_those_of_torch(optimiser: str) -> None:
    """Ten steps on the same gradients, with L2, beside a model of another kind."""
    configuration = TrainingConfiguration(
        optimiser=optimiser, learning_rate=0.03, weight_decay=0.1, momentum=0.8, schedule="constant"
    )
    rng = np.random.default_rng(0)
    start, gradients = torch.as_tensor(rng.standard_normal(6)), torch.as_tensor(rng.standard_normal((10, 6)))
    expected = start.clone().requires_grad_()
    reference: torch.optim.Optimizer
    if optimiser in ("sgd", "momentum", "nesterov"):
        momentum = 0.0 if optimiser == "sgd" else 0.8
        reference = torch.optim.SGD(
            [expected], 0.03, momentum=momentum, weight_decay=0.1, nesterov=optimiser == "nesterov"
        )
    else:
        name = {"adamw": "AdamW", "adam": "Adam", "rmsprop": "RMSprop", "adagrad": "Adagrad"}[optimiser]
        reference = getattr(torch.optim, name)([expected], 0.03, weight_decay=0.1)
    weights = torch.stack([start, start])
    ours = BatchedOptimiser(
        [configuration, TrainingConfiguration(optimiser="momentum")],
        torch.zeros_like(weights),
        torch.zeros_like(weights),
    )
    ours.begin_epoch(np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64), len(gradients))
    for gradient in gradients:
        expected.grad = gradient.clone()
        reference.step()
        ours.step(weights, torch.stack([gradient, gradient]))
    np.testing.assert_allclose(weights[0], expected.detach(), rtol=1e-9)


def test_l1_pulls_weights_to_zero() -> None:
    none, strong = train([model(0, epochs=30, learning_rate=0.02, l1=l1) for l1 in (0.0, 0.05)], pool())
    size = [np.abs(outcome.last.parameters["numbers.weight"]).sum() for outcome in (none, strong)]
    assert size[1] < 0.3 * size[0]


def test_schedules_by_hand() -> None:
    progress = np.array([0.0, 0.2, 0.5, 0.9, 1.0, 3.0])
    assert factors("constant", progress).tolist() == [1.0] * 6
    np.testing.assert_allclose(factors("step", progress), [1.0, 1.0, 0.1, 0.01, 0.01, 0.01])
    np.testing.assert_allclose(factors("cosine", progress)[[0, 2, 4, 5]], [1.0, 0.5, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(factors("one_cycle", progress)[[0, 1, 4]], [0.04, 1.0, 0.0], atol=1e-12)


def test_the_memory_budget_limits_the_models_of_a_stack() -> None:
    models = [model(seed) for seed in range(8)]
    one = models[0].shape.bytes(24)
    assert [len(stack) for stack in stacks(models, 100 * one)] == [8]
    assert max(len(stack) for stack in stacks(models, 3 * one)) == 3
    for narrow, wide in zip(train(models, pool(), memory_bytes=3 * one), train(models, pool()), strict=True):
        assert_equal_outcomes(narrow, wide)


def test_out_of_memory_halves_the_stack() -> None:
    """A network that fits for three models at most."""
    sizes = []

    class Hungry(StackedMLP):
        def __init__(self, shapes: Any, dtype: torch.dtype, device: torch.device) -> None:
            sizes.append(len(shapes))
            torch.empty(1 << 50 if len(shapes) > 3 else 1)  # the real allocator refuses
            super().__init__(shapes, dtype, device)

    models = [model(seed, epochs=2) for seed in range(8)]
    outcomes = train_models(models, pool(), Hungry, torch.float64, stacking_order)
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    for halved, whole in zip(outcomes, train(models, pool()), strict=True):
        assert_equal_outcomes(halved, whole)


def test_a_model_too_large_for_memory_is_an_error_that_names_it() -> None:
    with pytest.raises(MemoryError, match=r"width=2000000.* does not fit into memory: .*choose a smaller one"):
        train([replace(model(), shape=replace(model().shape, width=2_000_000, depth=2))], pool())
    with pytest.raises(MemoryError, match=r"does not fit into memory: 0.0 GiB may be used; choose a smaller one"):
        train_on_cpu([model()], pool(), memory_bytes=1000)


def test_gradients_are_those_of_finite_differences() -> None:
    """In every direction at once: the change of the loss along a random direction, for models of every kind."""
    models = sorted(random_models(30), key=lambda one: stacking_order(one.shape))
    data = pool(weighted=True)
    network = StackedMLP([one.shape for one in models], torch.float64, torch.device("cpu"))
    weights, gradient = (
        StackedParameters(network.parameters, 30, torch.float64, torch.device("cpu")) for _ in range(2)
    )
    rng = np.random.default_rng(2)
    for k, one in enumerate(models):
        state, _ = one.shape.initial(k)
        weights.write(k, {name: values + 0.3 * rng.standard_normal(values.shape) for name, values in state.items()})
    direction = (weights.flat != 0) * torch.as_tensor(rng.standard_normal(weights.flat.shape))
    inputs, target, weight = data.batch(torch.arange(20)[None])
    smoothing = torch.full((30, 1), 0.1, dtype=torch.float64)

    def loss(step: float) -> tuple[torch.Tensor, torch.Tensor]:
        moved = weights.named(weights.flat + step * direction)
        statistics = StackedParameters(network.statistics, 30, torch.float64, torch.device("cpu")).named()
        noise = torch.as_tensor(np.random.default_rng(3).random((9, 1, 20, 99)))
        output = network.forward(moved, statistics, inputs, lambda layer, width: noise[layer, :, :, :width])
        return losses_and_gradient(output, target, weight, smoothing)

    expected = (loss(1e-6)[0] - loss(-1e-6)[0]) / 2e-6
    network.backward(weights.named(), loss(0.0)[1], gradient.named())
    np.testing.assert_allclose((gradient.flat * direction).sum(dim=1), expected, rtol=1e-4, atol=1e-6)
