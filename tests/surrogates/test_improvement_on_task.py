"""The improvement on the default after probes: closed forms, sizes, and what another probe is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metahpo.exceptions import DataError
from metahpo.surrogates.improvement import Improvement, ImprovementModel, Rule, Trees
from metahpo.surrogates.improvement_on_task import (
    DECAY_PRIOR,
    DECAYS,
    ImprovementOnTask,
    MeasuredChanges,
    condition,
    given_losses,
    residual_covariance,
)

ENCODED = np.array([[0.5], [0.9], [0.1]])


def model(change: list[list[float]], share: float = 0.3) -> ImprovementModel:
    """Source tasks with these changes of three configurations, the first of which is the default."""
    G = np.array(change)
    nothing = np.zeros((1, 1), dtype=np.int64)
    leaves = np.zeros((1, len(G)), dtype=np.int64)
    trees = Trees(nothing, nothing, nothing, np.zeros((1, 1)), leaves, 0)
    rule = Rule()
    return ImprovementModel(
        "s", "accuracy", tuple(f"t{i}" for i in range(len(G))), ("a", "b", "c"), 0, G, np.full(G.shape, 0.01), (), (),
        trees, rule, ENCODED, rule, share, 0.001, np.full(len(G), np.nan), None,
    )  # fmt: skip


def probes(*each: tuple[int, float, float, float]) -> MeasuredChanges:
    """Probes from place, rows, change and variance of each."""
    places, rows, change, variance = zip(*each, strict=True) if each else ((), (), (), ())
    return MeasuredChanges(
        np.array(places, dtype=np.intp), *(np.array(v, dtype=float) for v in (rows, change, variance))
    )


TWO_KINDS = [[0.0, 0.4, 0.1], [0.0, 0.35, 0.1], [0.0, -0.4, 0.1], [0.0, -0.35, 0.05]]


def test_one_source_task_gives_the_regression_of_a_gaussian_process() -> None:
    change, spread = np.array([[0.0, 0.2, 0.1]]), np.full((1, 3), 0.05)
    R = residual_covariance(np.array(TWO_KINDS), ENCODED, 0, 0.5)
    before = Improvement(np.ones(1), change, spread, 0, Rule())
    after, left = condition(before, R, probes((1, 100.0, 0.5, 0.01)), 100.0)
    gain = R[:, 1] / (R[1, 1] + 0.01 + 1e-8)
    assert after.expected() == pytest.approx(change[0] + gain * 0.3)
    assert left == pytest.approx(R - np.outer(gain, R[1]))
    assert after.standard_error[0, 1] ** 2 == pytest.approx(0.05**2 + left[1, 1])


def test_a_probe_tells_kinds_of_tasks_apart() -> None:
    on_task = ImprovementOnTask(model(TWO_KINDS), 1000.0)
    good = on_task.given(probes((1, 1000.0, 0.38, 1e-4)))
    bad = on_task.given(probes((1, 1000.0, -0.38, 1e-4)))
    assert good.picks(1) == [1]
    assert bad.picks(1) == [2]
    assert good.expected()[1] > 0.3 > -0.3 > bad.expected()[1]
    assert good.expected()[0] == 0.0
    assert good.p_better()[0] == 0.5


def test_a_probe_of_few_rows_tells_less_than_one_of_the_whole_size() -> None:
    on_task = ImprovementOnTask(model([[0.0, 0.1, 0.1], [0.0, -0.1, 0.1], [0.0, 0.3, -0.2]], share=1.0), 20_000.0)
    spread = [on_task.given(probes((1, rows, 0.2, 1e-4))).standard_error[:, 1].mean() for rows in (300, 5000, 20_000)]
    assert spread[0] > spread[1] > spread[2]


def test_sizes_that_disagree_lower_the_belief_in_small_ones() -> None:
    on_task = ImprovementOnTask(model([[0.0, 0.1, 0.1], [0.0, -0.1, 0.1], [0.0, 0.3, -0.2]], share=1.0), 20_000.0)
    alike = on_task.given(probes((1, 300, 0.3, 1e-4), (1, 5000, 0.3, 1e-4)))
    apart = on_task.given(probes((1, 300, -0.4, 1e-4), (1, 5000, 0.3, 1e-4)))
    assert apart.standard_error[:, 1].mean() > alike.standard_error[:, 1].mean()


def test_without_probes_it_is_the_answer_before() -> None:
    one = model(TWO_KINDS)
    assert np.array_equal(ImprovementOnTask(one, 1000.0).given(probes()).utility(), one.on(None).utility())


def test_the_value_of_a_probe_is_largest_where_least_is_known_and_falls_when_it_was_made() -> None:
    on_task = ImprovementOnTask(model(TWO_KINDS), 1000.0)
    value = on_task.value_of_trials(on_task.conditioned(probes()), 1000.0, 1e-4)
    assert value[0] == 0.0
    assert (value >= 0.0).all()
    assert value.argmax() == 1
    again = on_task.value_of_trials(on_task.conditioned(probes((1, 1000.0, 0.38, 1e-5))), 1000.0, 1e-4)
    assert again[1] < 0.2 * value[1]
    assert on_task.value_of_trials(on_task.conditioned(probes()), 300.0, 1.0)[1] < value[1]


def test_prior_of_the_decay_is_a_distribution() -> None:
    assert len(DECAYS) == len(DECAY_PRIOR)
    assert sum(DECAY_PRIOR) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rows", "change", "variance"), [(0.0, 0.1, 0.1), (300.0, np.nan, 0.1), (300.0, 0.1, -1.0), (300.0, 0.1, np.inf)]
)
def test_probes_that_cannot_be_are_refused(rows: float, change: float, variance: float) -> None:
    with pytest.raises(DataError, match="probes need"):
        probes((1, rows, change, variance))


def after_losses(change: list[list[float]], columns: list[int], losses: list[float]) -> Improvement:
    """The distribution after losses, each measured with a variance of 1e-4."""
    one = model(change)
    residual = residual_covariance(one.change, ENCODED, 0, one.residual_share)
    return given_losses(one.on(None), residual, columns, np.array(losses), "accuracy", 1e-4)


def test_losses_beside_that_of_the_default_are_measured_changes() -> None:
    one = model(TWO_KINDS)
    residual = residual_covariance(one.change, ENCODED, 0, one.residual_share)
    noise = 1e-4 + 1e-4 * 0.62**2  # that of the default, and that of a loss that is .62 of it
    expected, _ = condition(one.on(None), residual, probes((1, 1.0, 0.38, noise)), 1.0)
    found = after_losses(TWO_KINDS, [0, 1], [0.5, 0.31])
    assert found.expected() == pytest.approx(expected.expected())
    repeated = after_losses(TWO_KINDS, [0, 1, 0, 1], [0.49, 0.3, 0.51, 0.32])
    assert repeated.expected() == pytest.approx(expected.expected(), abs=0.01)


@pytest.mark.parametrize("scale", [0.1, 1.0, 50.0])
def test_losses_without_that_of_the_default_tell_kinds_of_tasks_apart(scale: float) -> None:
    # The second configuration has .6 of the default's loss on tasks of the first kind, and 1.4 on the others.
    good = after_losses(TWO_KINDS, [1, 2], [0.6 * scale, 0.9 * scale])
    bad = after_losses(TWO_KINDS, [1, 2], [1.4 * scale, 0.9 * scale])
    assert good.picks(1) == [1]
    assert bad.picks(1) == [2]
    assert good.expected()[1] == pytest.approx(0.4, abs=0.05)
    assert bad.expected()[1] == pytest.approx(-0.4, abs=0.05)


def test_what_was_tried_stays_unless_the_gain_outweighs_the_risk() -> None:
    # After a trial of the second one, the third is expected to be a little better, and is a great loss on one task.
    change = [[0.0, 0.2, 0.6], [0.0, 0.2, 0.5], [0.0, 0.2, -0.2]]
    after = after_losses(change, [0, 1], [0.5, 0.4])
    assert after.incumbent == 1
    assert after.expected()[2] > after.expected()[1]
    assert after.picks(1) == [2]
    careful = replace(after, rule=Rule(loss_weight=5.0))
    assert careful.picks(1) == [1]
    assert careful.utility()[1] == 0.0


def test_failed_trials_are_the_worst_that_can_be() -> None:
    after = after_losses(TWO_KINDS, [0, 1, 2], [0.5, np.nan, 0.45])
    assert after.expected()[1] == pytest.approx(-1.0, abs=0.05)
    assert after.incumbent == 2
    nothing = after_losses(TWO_KINDS, [0, 1], [np.nan, np.nan])
    assert (nothing.expected()[1], nothing.incumbent) == (-1.0, None)
