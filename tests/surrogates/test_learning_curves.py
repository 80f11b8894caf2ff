"""Learning curves: the end of a training foretold from its beginning, on tasks of any scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.learning_curves import LearningCurves

Curves = list[NDArray[np.float64]]


def task(seed: int, scale: float = 1.0, shift: float = 0.0, n: int = 20) -> Curves:
    """Curves that fall to a floor at rates of their own; the fastest rise again."""
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(n):
        n_epochs = int(rng.integers(8, 40))
        share = np.arange(1, n_epochs + 1) / n_epochs
        floor, rate = rng.uniform(0.1, 0.6), rng.uniform(2.0, 8.0)
        curve = floor + (1.0 - floor) * np.exp(-rate * share) + 0.1 * (rate > 6.0) * share**2
        curves.append(shift + scale * (curve + 0.005 * rng.standard_normal(n_epochs)))
    return curves


@pytest.fixture(scope="module")
def learnt() -> LearningCurves:
    return LearningCurves.learn(tasks())


def tasks() -> list[Curves]:
    """To learn from, on scales from 0.01 to 100."""
    return [task(seed, scale=10.0 ** (seed % 5 - 2), shift=seed - 4.0) for seed in range(10)]


def errors(learnt: LearningCurves, curves: Curves, share: float) -> tuple[NDArray[np.float64], ...]:
    """Of what is predicted, and of the last value, over the losses' spread; the former over its standard deviation."""
    finals = np.array([curve[-1] for curve in curves])
    found = []
    for i, curve in enumerate(curves):
        so_far = curve[: int(share * len(curve))]
        predicted = learnt.predict(so_far, len(curve), np.delete(finals, i))
        off = predicted.mean - curve[-1]
        found.append((abs(off) / finals.std(), abs(so_far[-1] - curve[-1]) / finals.std(), off / predicted.std))
    return tuple(np.array(found).T)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_predicts_better_than_that_the_last_value_stays(learnt: LearningCurves, share: float) -> None:
    predicted, stays, off = errors(learnt, task(99, scale=300.0, shift=-1e4, n=60), share)
    assert np.median(predicted) < 0.7 * np.median(stays)
    assert 0.6 < np.mean(np.abs(off) < 1.28) < 0.97  # meant to be 0.8


def test_grows_surer_towards_the_end_and_is_certain_there(learnt: LearningCurves) -> None:
    curves = task(98)
    finals = [curve[-1] for curve in curves]
    early, middle, late = (
        np.median([learnt.predict(c[: max(1, int(share * len(c)))], len(c), finals).std for c in curves])
        for share in (0.2, 0.5, 0.9)
    )
    assert early > middle > late
    assert learnt.predict(curves[0], len(curves[0])) == (curves[0][-1], 0.0)


def test_shift_and_factor_of_the_losses_do_not_matter(learnt: LearningCurves) -> None:
    curve, known = task(97)[0], [0.3, 0.5, 0.4, 0.7, 0.6]
    plain = learnt.predict(curve[:5], len(curve), known)
    moved = learnt.predict(7.0 + 1e3 * curve[:5], len(curve), 7.0 + 1e3 * np.array(known))
    np.testing.assert_allclose([moved.mean, moved.std], [7.0 + 1e3 * plain.mean, 1e3 * plain.std], rtol=1e-6)


def test_works_from_one_epoch_and_with_nothing_known(learnt: LearningCurves) -> None:
    for curve, known in (
        ([0.7], []),
        ([0.7], [0.7]),
        ([0.0], []),
        ([0.5, 0.5, 0.5], [0.5] * 9),
        ([0.5, 0.4], [np.nan]),
    ):
        predicted = learnt.predict(curve, 10, known)
        assert np.isfinite(predicted.mean)
        assert predicted.std > 0.0


def test_is_the_same_every_time() -> None:
    first, again, other = (LearningCurves.learn(tasks(), seed).predict([0.9, 0.7], 9, [0.3]) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("curve", [[], [1.0] * 11, [1.0, np.nan], [[1.0, 2.0]]])
def test_refuses_what_is_no_beginning_of_a_curve(learnt: LearningCurves, curve: list[float]) -> None:
    with pytest.raises(DataError, match="a curve must be 1 to n_epochs = 10 finite losses"):
        learnt.predict(curve, 10)


def test_needs_curves(toy: MetaDataset) -> None:
    with pytest.raises(DataError, match="two learning curves of two epochs"):
        LearningCurves.of(toy, "toy")
    with pytest.raises(DataError, match="there are 1"):
        LearningCurves.learn([[np.array([1.0]), np.array([1.0, np.nan]), np.array([1.0, 0.5])]])


def test_is_learnt_from_a_meta_dataset(toy: MetaDataset) -> None:
    curves: list[list[float] | None] = [c.tolist() for c in task(0, n=len(toy.trials))]
    curves[3], curves[5] = [], None
    md = MetaDataset(toy.tasks, toy.trials.assign(learning_curve=pd.Series(curves)), None, toy.spaces)
    n_failed = int((toy.trials["status"] != "success").sum())
    recorded = md.learning_curves("toy")
    assert sum(map(len, recorded.values())) == len(toy.trials) - 2 - n_failed
    assert list(recorded) == list(toy.tasks.index)
    assert LearningCurves.of(md, "toy").predict(recorded["task1"][0][:5], 20).std > 0.0
