"""Images: what comes in, what is refused, what the network learns, and how a build records it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from metahpo.building.planning import make_plan, trained_together
from metahpo.building.protocol import Protocol
from metahpo.datasets.cache import write_task
from metahpo.exceptions import DataError
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named
from metahpo.networks.convnet.convnet_classifier import ConvNetClassifier
from metahpo.networks.convnet.residual_network import ResidualNetwork, augmentation
from metahpo.tasks.images import as_images, shape_of_columns
from metahpo.tasks.task import Task, TaskKind
from metahpo.testing import LearnerContract

SMALL: dict[str, Any] = {"width": 4, "stages": 2, "epochs": 2, "random_state": 0}


def stripes(n: int = 80, side: int = 8) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Upright and level stripes, shifted at random, with noise."""
    rng = np.random.default_rng(0)
    upright = rng.random(n) < 0.5
    waves = np.sin(np.arange(side) * 1.6 + rng.uniform(0, 6, (n, 1)))
    images = np.where(upright[:, None, None], waves[:, None, :], waves[:, :, None]) + 0.3 * rng.standard_normal(
        (n, side, side)
    )
    return images, np.where(upright, "upright", "level")


class TestConvnetAsLearner(LearnerContract):
    @pytest.fixture
    def learner(self) -> Learner:
        return learner_named("convnet", "classification")

    def task(self, kind: TaskKind) -> Task:
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1, 2], 10)
        return Task.from_arrays(rng.random((30, 16)) + y[:, None] * np.linspace(0, 1, 16), y)

    def test_unseen_categories_and_all_missing_rows_are_predicted(self, learner: Learner) -> None:
        """Images have no categories; a missing pixel is the mean."""
        X, y = stripes()
        X[3, 2, 2] = np.nan
        X[5] = np.nan
        assert np.isfinite(ConvNetClassifier(**SMALL).fit(X, y).predict_proba(X)).all()


def test_images_come_in_any_layout() -> None:
    rng = np.random.default_rng(0)
    colour = rng.random((5, 4, 6, 3))
    images = as_images(colour)
    assert images.shape == (5, 3, 4, 6)
    np.testing.assert_array_equal(images, as_images(colour.reshape(5, -1), (4, 6, 3)))
    np.testing.assert_array_equal(as_images(colour[..., 0]), images[:, :1])
    assert shape_of_columns(784, None) == (28, 28, 1)
    assert shape_of_columns(3072, None) == (32, 32, 3)
    assert as_images(pd.DataFrame(rng.integers(0, 255, (2, 64)))).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.zeros((4, 4)), np.zeros((5, 4))], "images must be numbers, and all of one shape"),
        (np.zeros((3, 7)), "rows of 7 numbers are no square images of one or three channels: give image_shape"),
        (np.zeros((3, 0)), "images must be n x h x w"),
        (np.zeros(3), "images must be n x h x w"),
        (np.full((3, 4, 4), np.inf), "infinite values"),
        ([["a", "b"]], "images must be numbers"),
    ],
)
def test_what_are_no_images_is_refused(X: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_images(X)


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"image_shape is \(3, 4\), but a row of X has 16 numbers"):
        ConvNetClassifier(image_shape=(3, 4)).fit(np.zeros((4, 16)), [0, 1, 0, 1])
    X, y = stripes()
    model = ConvNetClassifier(**SMALL).fit(X, y)
    with pytest.raises(DataError, match="trained on images of 8 x 8 x 1, but these are of 9 x 9 x 1"):
        model.predict(np.zeros((2, 9, 9)))


def test_learns_digits_it_has_not_seen() -> None:
    X, y = load_digits(return_X_y=True)
    model = ConvNetClassifier(width=8, stages=2, epochs=10, random_state=0).fit(X[:600], y[:600])
    assert model.score(X[600:1200], y[600:1200]) > 0.9


def test_equal_seeds_give_equal_networks_and_leave_the_global_seed_alone() -> None:
    X, y = stripes()
    before = torch.random.get_rng_state()
    first, second = (ConvNetClassifier(**SMALL).fit(X, y).predict_proba(X) for _ in "ab")
    np.testing.assert_array_equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())
    other = ConvNetClassifier(**SMALL | {"random_state": 1}).fit(X, y)
    assert not np.allclose(first, other.predict_proba(X))
    copy = pickle.loads(pickle.dumps(other))
    np.testing.assert_array_equal(copy.predict_proba(X), other.predict_proba(X))
    assert clone(other).get_params() == other.get_params()


def test_stops_early_and_writes_every_epoch_down() -> None:
    X, y = stripes(200)
    y = np.random.default_rng(1).permutation(y)  # nothing to learn: the best epoch comes soon
    model = ConvNetClassifier(
        **SMALL | {"epochs": 60}, early_stopping=True, patience=2, validation_fraction=0.2, schedule="constant"
    ).fit(X, y)
    assert model.status_ == "stopped"
    assert model.n_epochs_ == model.best_epoch_ + 2
    assert {len(values) for values in model.history_.values()} == {model.n_epochs_}
    whole = ConvNetClassifier(**SMALL).fit(X, y)
    assert (whole.status_, whole.best_epoch_, whole.history_["validation_loss"]) == ("finished", 2, [])


def test_weights_are_heard() -> None:
    X, y = stripes()
    wrong = np.where(np.arange(len(y)) % 3 == 0, np.where(y == "level", "upright", "level"), y)
    weight = (wrong == y).astype(float)
    model = ConvNetClassifier(**SMALL | {"epochs": 15}).fit(X, wrong, sample_weight=weight)
    assert model.score(X, y) > 0.9
    by_class = ConvNetClassifier(**SMALL, class_weight={"level": 3.0, "upright": 1.0}).fit(X, y)
    by_row = ConvNetClassifier(**SMALL).fit(X, y, sample_weight=np.where(y == "level", 3.0, 1.0))
    np.testing.assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))


def test_a_diverging_network_says_so_and_still_predicts() -> None:
    X, y = stripes()
    with pytest.warns(ConvergenceWarning, match="training diverged in epoch 1"):
        model = ConvNetClassifier(**SMALL, optimiser="sgd", learning_rate=1e30, schedule="constant").fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


def test_augmentation_moves_pixels_and_mirrors() -> None:
    assert augmentation(0.0, False) is None
    images = torch.arange(64.0).reshape(1, 1, 8, 8).repeat(50, 1, 1, 1)
    mirrored = augmentation(0.0, True)
    assert mirrored is not None
    flipped = mirrored([images], torch.Generator().manual_seed(0))[0]
    same = (flipped - images).abs().amax(dim=(1, 2, 3)) < 1e-3
    turned = (flipped - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert bool((same | turned).all())
    assert 5 < int(same.sum()) < 45
    moved = augmentation(1.0, False)
    assert moved is not None
    assert bool(((moved([images], torch.Generator().manual_seed(0))[0] - images).abs().amax(dim=(1, 2, 3)) > 1).all())


def test_resolution_halves_as_far_as_images_are_large_enough() -> None:
    sizes = [
        sum(p.numel() for p in ResidualNetwork(1, side, 2, 4, 4, 1, 3, "stride", 0.0).parameters())
        for side in (4, 8, 16, 32)
    ]
    assert sizes == sorted(set(sizes))
    assert ResidualNetwork(3, 4, 2, 4, 4, 1, 5, "average", 0.0)(torch.zeros(2, 3, 4, 6)).shape == (2, 2)


def test_a_build_takes_image_tasks_by_key(tmp_path: Path) -> None:
    X, y = stripes(60)
    frame = pd.DataFrame(X.reshape(60, -1)).rename(columns=str).assign(target=y)
    write_task(tmp_path / "cache", "stripes", frame, "target", {"name": "stripes", "kind": "image", "n_features": 64})
    with pytest.raises(DataError, match="none of the 1 datasets"):
        make_plan(tmp_path / "cache", learners=["convnet"])
    plan = make_plan(
        tmp_path / "cache", keys=["stripes"], learners=["convnet"], n_configurations=1, protocol=Protocol(2)
    )
    assert trained_together(plan) == frozenset()
    assert [key.task for key in plan.trials()] == ["stripes"]
