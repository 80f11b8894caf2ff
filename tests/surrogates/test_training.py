"""Training: from any honest records to a surrogate, the same one every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from metahpo.exceptions import DataError, UnknownNameError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.fitting.source_tasks import (
    MAX_TRIALS,
    SourceTask,
    SourceTasks,
    reference_configurations,
    source_features_of,
    source_weights,
)
from metahpo.surrogates.fitting.training import train_on_tables, train_surrogate
from metahpo.surrogates.fitting.training_batches import TrialBatches, hide_configurations, representative
from metahpo.surrogates.mixture.source_functions import ZScoreKernel
from tests.surrogates.recorded_world import QUICK, bowl, world

TINY = replace(QUICK, kernel_steps=10, component_steps=5)


def test_the_same_records_and_seed_give_the_same_surrogate() -> None:
    X = np.random.default_rng(0).random((5, 3))
    state = torch.random.get_rng_state()
    first, again = (train_on_tables(world(6), settings=TINY, random_state=3).posterior(X) for _ in range(2))
    other = train_on_tables(world(6), settings=TINY, random_state=4).posterior(X)
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mixture_mean(), other.mixture_mean())
    assert torch.equal(state, torch.random.get_rng_state())  # the global generator is none of its business


@pytest.mark.parametrize("shared", [True, False])
def test_designs_may_be_shared_or_each_task_s_own(shared: bool) -> None:
    tables = world(8, shared=shared)
    posterior = train_on_tables(tables, settings=QUICK).posterior(tables[0].X)
    assert np.isfinite(posterior.mean).all()


def test_records_with_gaps_are_learnt_from() -> None:
    tables = world(6)
    few = [replace(t, X=t.X[: 3 + 4 * i], loss=t.loss[: 3 + 4 * i]) for i, t in enumerate(tables)]
    failed = replace(tables[0], task="failed", loss=np.where(np.arange(30) % 3 == 0, np.nan, tables[0].loss))
    blind = replace(tables[1], task="blind", meta_features=None)
    surrogate = train_on_tables([*few, failed, blind], settings=TINY)
    assert set(surrogate.task_names) == {*(t.task for t in few), "failed", "blind"}
    assert np.isfinite(surrogate.posterior(tables[0].X).mean).all()


def test_tasks_that_tell_nothing_are_left_out() -> None:
    flat = TaskTable("flat", "flat", np.random.default_rng(0).random((5, 3)), np.ones(5), None)
    crashed = replace(flat, task="crashed", loss=np.full(5, np.nan))
    surrogate = train_on_tables([*world(4), flat, crashed], settings=TINY)
    assert set(surrogate.task_names) == {f"task{i}" for i in range(4)}


def test_hidden_configurations_are_those_of_all_tasks() -> None:
    tables = world(6)
    shown = hide_configurations(tables, np.random.default_rng(0))
    left = {x.tobytes() for t in shown for x in t.X}
    assert 0 < len(left) < 30
    for table, part in zip(tables, shown, strict=True):
        kept = np.array([x.tobytes() in left for x in table.X])
        np.testing.assert_array_equal(part.X, table.X[kept])
        np.testing.assert_array_equal(part.loss, table.loss[kept])


def test_of_a_task_that_would_tell_nothing_more_nothing_is_hidden() -> None:
    X = np.random.default_rng(0).random((2, 3))
    short = [TaskTable(f"t{i}", f"t{i}", X + i, np.array([0.0, 1.0]), None) for i in range(8)]
    shown = hide_configurations(short, np.random.default_rng(0))
    assert [len(t.loss) for t in shown] == [2] * 8


def test_less_is_claimed_of_configurations_that_no_task_has_recorded() -> None:
    tables = world(12)
    surrogate = train_on_tables(tables, settings=replace(TINY, kernel_steps=150, component_steps=60))
    elsewhere = np.random.default_rng(5).random((200, 3))
    recorded, unrecorded = (surrogate.posterior(X).mixture_std().mean() for X in (tables[0].X, elsewhere))
    assert unrecorded > recorded


def test_a_part_left_out_stays_out() -> None:
    parts = ("likeness to one task", "learnt maps")
    components = train_on_tables(world(5), settings=replace(TINY, without=parts)).components
    assert components.slope.abs().max() == 0.0
    assert components.log_mapped_variance.exp().max() < 1e-15
    assert components.log_plain_variance.exp().min() > 0.01
    with pytest.raises(UnknownNameError, match="span of all tasks"):
        train_on_tables(world(5), settings=replace(TINY, without=("likeness",)))


def test_tasks_of_one_family_stand_for_themselves() -> None:
    tables = [replace(t, family="all") for t in world(5)]
    assert np.isfinite(train_on_tables(tables, settings=TINY).posterior(tables[0].X).mean).all()


@pytest.mark.parametrize("n_tasks", [0, 1])
def test_one_task_is_too_few(n_tasks: int) -> None:
    with pytest.raises(DataError, match="at least two tasks"):
        train_on_tables(world(2)[:n_tasks], settings=TINY)


def test_two_tasks_with_a_handful_of_trials_are_enough() -> None:
    tables = [TaskTable(t.task, t.family, t.X[:5], t.loss[:5], t.meta_features) for t in world(2)]
    surrogate = train_on_tables(tables, settings=TINY)
    posterior = surrogate.posterior(tables[0].X, (tables[0].X[:2], tables[0].loss[:2]))
    assert np.isfinite(posterior.mean).all()
    assert np.isfinite(posterior.std).all()


def test_a_meta_dataset_is_learnt_from_by_space_and_metric() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((12, 2))
    tables = {f"t{i}": {"X": X.tolist(), "y": (X @ rng.random(2)).tolist()} for i in range(5)}
    md = MetaDataset.from_hpob({"plane": tables})
    surrogate = train_surrogate(md, "plane", settings=TINY)
    assert (surrogate.space_name, surrogate.metric) == ("plane", "y")
    assert surrogate.space == md.space("plane")
    with pytest.raises(UnknownNameError, match="plane"):
        train_surrogate(md, "sphere", settings=TINY)
    with pytest.raises(UnknownNameError, match="y"):
        train_surrogate(md, "plane", metric="accuracy", settings=TINY)


def test_of_many_tasks_the_mixture_takes_some_of_every_family() -> None:
    tables = [replace(t, family=f"family {i // 4}") for i, t in enumerate(world(12))]
    surrogate = train_on_tables(tables, settings=replace(TINY, n_sources=6))
    assert len(surrogate.task_names) == 6
    families = surrogate.provenance.families
    assert {family: families.count(family) for family in families} == {f"family {i}": 2 for i in range(3)}
    assert np.isfinite(surrogate.posterior(tables[0].X, (tables[0].X[:4], tables[0].loss[:4])).mean).all()


def test_few_tables_represent_themselves() -> None:
    tables = world(4)
    assert representative(tables, 4, np.random.default_rng(0)) == tables


def test_of_a_long_table_some_trials_are_learnt_from_and_their_scores_are_those_among_all() -> None:
    rng = np.random.default_rng(0)
    loss = np.arange(2.0 * MAX_TRIALS)
    task = SourceTask.from_table(TaskTable("long", "long", rng.random((len(loss), 2)), loss, None))
    assert task.X.shape == (MAX_TRIALS, 2)
    assert len(set(task.loss.tolist())) == MAX_TRIALS
    among_all = torch.special.ndtri((task.loss + 0.5) / len(loss))
    torch.testing.assert_close(task.z, among_all)


def test_source_functions_follow_their_records_where_the_design_is_shared() -> None:
    tables = [SourceTask.from_table(t) for t in world(4)]
    kernel = ZScoreKernel(3).double().requires_grad_(False)
    kernel.log_noise.fill_(-9.0)
    Z = torch.tensor(reference_configurations([t.X.numpy() for t in tables], 100, 100, np.random.default_rng(0)))
    assert len(Z) == 30
    at_Z = kernel.locate(Z)
    W = source_weights(kernel, Z, tables)
    for i, task in enumerate(tables):
        recovered = (kernel(kernel.locate(task.X), at_Z) @ W)[:, i]
        assert np.corrcoef(recovered, task.z)[0, 1] > 0.99


def test_reference_configurations_are_recorded_ones_spread_out() -> None:
    X = np.random.default_rng(0).random((500, 2))
    chosen = reference_configurations([X[:250], X[250:]], 25, 1000, np.random.default_rng(1))
    assert len(np.unique(chosen, axis=0)) == 25
    assert all((c == X).all(axis=1).any() for c in chosen)
    gaps = np.linalg.norm(chosen[:, None] - chosen[None], axis=2) + 9 * np.eye(25)
    assert gaps.min() > 0.05


def test_reference_configurations_hold_those_that_tasks_share() -> None:
    rng = np.random.default_rng(0)
    pool, own = rng.random((80, 2)), rng.random((3, 40, 2))
    recorded = [np.concatenate([pool[rng.permutation(80)[:70]], mine]) for mine in own]
    shared = {row.tobytes() for row in pool if sum((part == row).all(axis=1).any() for part in recorded) > 1}

    def chosen(n: int, n_shared: int) -> list[bytes]:
        return [row.tobytes() for row in reference_configurations(recorded, n, n_shared, np.random.default_rng(1))]

    assert set(chosen(25, 1000)) == shared
    assert set(chosen(len(shared) + 9, 1000)) > shared
    assert len(set(chosen(len(shared) + 9, 1000))) == len(shared) + 9
    assert set(chosen(25, 30)) < shared
    assert len(set(chosen(25, 30))) == 30


def test_the_best_of_a_large_shared_design_does_not_blur() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((400, 3))
    losses = [np.sin(25.0 * X).sum(axis=1) + 0.1 * rng.standard_normal(400) for _ in range(3)]
    tables = [TaskTable(f"t{i}", f"t{i}", X, loss, None) for i, loss in enumerate(losses)]
    torch.manual_seed(0)
    kernel = ZScoreKernel(3).double().requires_grad_(False)
    kernel.log_scale_plain.fill_(-2.0)
    source_tasks = SourceTasks.of(kernel, tables, TINY, rng)
    assert len(source_tasks.reference) == 400
    z = normal_scores(tables[0].loss)
    values = source_tasks.functions.at(torch.tensor(X)).values[:, 0].numpy()
    assert np.abs(values - z).mean() < 0.5 * np.abs(blurred(kernel, tables, rng) - z).mean()


def blurred(kernel: ZScoreKernel, tables: list[TaskTable], rng: np.random.Generator) -> NDArray[np.float64]:
    few = replace(TINY, n_shared=TINY.n_reference)
    at = SourceTasks.of(kernel, tables, few, rng).functions.at(torch.tensor(tables[0].X))
    return at.values[:, 0].numpy()


@pytest.mark.parametrize("unit", [1e-320, 1e-200, 1e-12, 1e200, 1e307])
def test_losses_of_any_size_are_learnt_from(unit: float) -> None:
    tables = world(5)
    odd = replace(tables[0], task="odd", loss=unit * (tables[0].loss - tables[0].loss.mean()))
    surrogate = train_on_tables([*tables, odd], settings=TINY)
    assert "odd" in surrogate.task_names
    assert torch.isfinite(surrogate.components.log_spread).all()
    assert np.isfinite(surrogate.posterior(odd.X, (odd.X[:7], odd.loss[:7])).mean).all()


def test_one_task_that_is_nearly_flat_changes_little() -> None:
    tables = world(8)
    flat = replace(tables[0], task="flat", loss=0.5 + 1e-9 * tables[0].loss)
    with_it, without = (train_on_tables(t, settings=TINY).components.log_spread for t in ([*tables, flat], tables))
    assert torch.allclose(with_it, without, atol=0.8)
    rounding = replace(flat, loss=0.5 + 1e-15 * tables[0].loss)
    assert rounding.loss.max() > rounding.loss.min()
    assert "flat" not in train_on_tables([*tables, rounding], settings=TINY).task_names


def test_what_is_no_meta_dataset_and_no_seed_is_refused() -> None:
    with pytest.raises(DataError, match="a MetaDataset is expected, but got 'toy'"):
        train_surrogate("toy")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="random_state must be a whole number from 0 on, but is '0'"):
        train_on_tables([], random_state="0")  # type: ignore[arg-type]


def test_rows_that_are_not_finite_are_refused() -> None:
    tables = world(4)
    broken = replace(tables[0], task="broken", X=np.where(tables[0].X > 0.9, np.nan, tables[0].X))
    with pytest.raises(DataError, match=r"finite rows of the unit cube.*\['broken'\]"):
        train_on_tables([*tables, broken], settings=TINY)


def test_a_training_that_came_to_nothing_finite_says_so() -> None:
    surrogate = train_on_tables(world(4), settings=TINY)
    with pytest.raises(DataError, match=r"of finite numbers, but its parts \['weights'\] hold NaN"):
        replace(surrogate, weights=surrogate.weights * np.nan)
    with pytest.raises(DataError, match=r"numbers that are not finite.*lower kernel_rate"):
        train_on_tables(world(4), settings=replace(TINY, kernel_rate=1e30))


def test_greedy_batches_hold_better_trials() -> None:
    batches = TrialBatches([SourceTask.from_table(t) for t in world(8)])
    generator = torch.Generator().manual_seed(0)
    plain, greedy = (
        torch.stack([batches.sample(8, 5, generator, greed).z.mean() for _ in range(40)]).mean() for greed in (0.0, 2.0)
    )
    assert abs(float(plain)) < 0.1
    assert float(greedy) < -0.3


def test_a_batch_has_distinct_trials_and_only_tasks_that_are_long_enough() -> None:
    tasks = [SourceTask.from_table(t) for t in [*world(5), bowl("short", 0.5, n=4)]]
    batch = TrialBatches(tasks).sample(6, 20, torch.Generator().manual_seed(0))
    assert batch.X.shape == (5, 20, 3)
    assert sorted(batch.tasks.tolist()) == list(range(5))
    assert all(len(set(rows.tolist())) == 20 for rows in batch.rows)


def test_source_features_of_a_batch_are_those_of_its_tasks() -> None:
    tables = world(4)
    kernel = ZScoreKernel(tables[0].X.shape[1]).double().requires_grad_(False)
    tasks = SourceTasks.of(kernel, tables, TINY, np.random.default_rng(0)).held_out_tasks[1:3]
    rows = torch.tensor([[3, 0, 7], [2, 5, 1]])
    batch = source_features_of(tasks, torch.stack([task.task.X[own] for task, own in zip(tasks, rows, strict=True)]))
    for i, (task, own) in enumerate(zip(tasks, rows, strict=True)):
        alone = task.source_features(own)
        torch.testing.assert_close(batch.place.mapped[i], alone.place.mapped)
        for name in ("mean", "deviations", "recorded"):
            torch.testing.assert_close(getattr(batch, name)[i], getattr(alone, name))
