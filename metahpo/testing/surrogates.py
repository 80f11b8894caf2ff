"""The contract of a surrogate: a subclass gives the fixtures `surrogate` and `trials` and inherits the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo.acquisition.expected_improvement import expected_improvement
from metahpo.exceptions import DataError
from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.artefact import load_surrogate
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import Configurations, Surrogate, TrainedSurrogate

Array = NDArray[np.float64]
#: To which scores must agree: a surrogate may predict in single precision.
PRECISION = 1e-5


class SurrogateContract:
    """Contract of :class:`metahpo.surrogates.surrogate.Surrogate`; give the fixtures ``surrogate`` and ``trials``."""

    @pytest.fixture
    def surrogate(self) -> Surrogate:
        """The surrogate under test."""
        raise NotImplementedError

    @pytest.fixture
    def trials(self) -> tuple[Array, Array]:
        """Rows (n, d) of its space and losses (n,), best first; n is 5 at least."""
        raise NotImplementedError

    @pytest.fixture
    def configurations(self, surrogate: Surrogate) -> list[dict[str, object]]:
        """Configurations to predict."""
        return sobol_design(surrogate.space, 17, random_state=5)

    def test_posterior_is_finite_and_of_the_shape_asked_for(
        self, surrogate: Surrogate, configurations: Configurations, trials: tuple[Array, Array]
    ) -> None:
        for observed in (None, (trials[0][:1], trials[1][:1]), (trials[0][:2], trials[1][:2]), trials):
            posterior = surrogate.posterior(configurations, observed)
            k = len(posterior.weights)
            assert posterior.mean.shape == posterior.std.shape == (k, len(configurations))
            assert np.isfinite(posterior.mean).all()
            assert (posterior.std > 0).all()
            assert posterior.weights.min() >= 0
            assert posterior.weights.sum() == pytest.approx(1)
            assert np.isfinite(expected_improvement(posterior)).all()

    def test_no_trial_yet_is_none_or_empty(self, surrogate: Surrogate, configurations: Configurations) -> None:
        empty: tuple[Configurations, Array] = ([], np.zeros(0))
        assert_same(surrogate.posterior(configurations), surrogate.posterior(configurations, empty))

    def test_dictionaries_and_their_rows_are_the_same_configurations(
        self, surrogate: Surrogate, trials: tuple[Array, Array]
    ) -> None:
        configurations = sobol_design(surrogate.space, 5, random_state=1)
        rows = SpaceEncoder(surrogate.space).encode(configurations)
        losses = trials[1][:5]
        assert_same(
            surrogate.posterior(rows, (rows, losses)), surrogate.posterior(configurations, (configurations, losses))
        )

    def test_the_order_of_trials_does_not_matter(
        self, surrogate: Surrogate, configurations: Configurations, trials: tuple[Array, Array]
    ) -> None:
        X, losses = trials
        backwards = surrogate.posterior(configurations, (X[::-1], losses[::-1]))
        assert_same(surrogate.posterior(configurations, trials), backwards, tolerance=PRECISION)

    def test_a_shift_of_all_losses_does_not_matter(
        self, surrogate: Surrogate, configurations: Configurations, trials: tuple[Array, Array]
    ) -> None:
        X, losses = trials
        shifted = surrogate.posterior(configurations, (X, losses + 7.0))
        assert_same(surrogate.posterior(configurations, trials), shifted, tolerance=PRECISION)

    def test_asking_about_more_configurations_changes_no_answer(
        self, surrogate: Surrogate, configurations: list[dict[str, object]], trials: tuple[Array, Array]
    ) -> None:
        few, many = surrogate.posterior(configurations[:3], trials), surrogate.posterior(configurations, trials)
        np.testing.assert_allclose(few.mixture_mean(), many.mixture_mean()[:3], atol=PRECISION)

    def test_configurations_tried_are_believed(self, surrogate: Surrogate, trials: tuple[Array, Array]) -> None:
        X, losses = trials
        predicted = surrogate.posterior(X, trials).mixture_mean()
        assert np.corrcoef(predicted, losses)[0, 1] > 0.8

    def test_a_trial_makes_its_surroundings_surer(self, surrogate: Surrogate, trials: tuple[Array, Array]) -> None:
        X, _ = trials
        before = surrogate.posterior(X[:3]).mixture_std()
        after = surrogate.posterior(X[:3], trials).mixture_std()
        assert (after < before).all()

    def test_a_failed_trial_is_worse_than_all_that_succeeded(
        self, surrogate: Surrogate, trials: tuple[Array, Array]
    ) -> None:
        X, losses = trials
        with_failure = losses.copy()
        with_failure[0] = np.nan  # of all, the best one
        failed = surrogate.posterior(X[:1], (X, with_failure)).mixture_mean()
        succeeded = surrogate.posterior(X[:1], trials).mixture_mean()
        assert failed[0] > succeeded[0]

    @pytest.mark.parametrize("losses", [[np.nan], [np.nan, np.nan], [1.0, np.nan], [2.0, 2.0, 2.0]])
    def test_trials_that_tell_little_are_no_error(
        self, surrogate: Surrogate, configurations: Configurations, trials: tuple[Array, Array], losses: list[float]
    ) -> None:
        posterior = surrogate.posterior(configurations, (trials[0][: len(losses)], np.array(losses)))
        assert np.isfinite(posterior.mixture_mean()).all()
        assert np.isfinite(expected_improvement(posterior)).all()

    @pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e3, 1e12])
    def test_losses_may_be_on_any_scale(self, surrogate: Surrogate, trials: tuple[Array, Array], factor: float) -> None:
        X, losses = trials
        here, there = surrogate.posterior(X, trials), surrogate.posterior(X, (X, factor * losses))
        assert np.corrcoef(here.mixture_mean(), there.mixture_mean())[0, 1] > 0.9

    def test_wrong_arrays_are_refused(self, surrogate: Surrogate, trials: tuple[Array, Array]) -> None:
        X, losses = trials
        with pytest.raises(DataError, match="shape"):
            surrogate.posterior(X[:, :-1])
        with pytest.raises(DataError, match="shape"):
            surrogate.posterior(X, (X, losses[:-1]))
        with pytest.raises(DataError, match="finite"):
            surrogate.posterior(X, (X[:2], np.array([1.0, np.inf])))
        with pytest.raises(DataError, match="finite"):
            surrogate.posterior(np.full_like(X, np.nan))


class TrainedSurrogateContract(SurrogateContract):
    """Contract of :class:`metahpo.surrogates.surrogate.TrainedSurrogate`, which recommends and is saved."""

    @pytest.fixture
    def surrogate(self) -> TrainedSurrogate:
        """The surrogate under test."""
        raise NotImplementedError

    def test_unknown_meta_features_are_no_error(
        self, surrogate: TrainedSurrogate, configurations: Configurations
    ) -> None:
        nothing = surrogate.posterior(configurations)
        for unknown in ({}, {"no such": 1.0}):
            assert_same(nothing, surrogate.posterior(configurations, None, unknown))

    def test_task_weights_are_shares_of_the_tasks_it_knows(
        self, surrogate: TrainedSurrogate, trials: tuple[Array, Array]
    ) -> None:
        for observed in (None, trials):
            weights = surrogate.task_weights(observed)
            assert set(weights) <= set(surrogate.task_names)
            assert min(weights.values()) >= 0
            assert sum(weights.values()) <= 1 + 1e-9
            assert list(weights.values()) == sorted(weights.values(), reverse=True)

    def test_it_explains_itself_the_same_way_twice(
        self, surrogate: TrainedSurrogate, trials: tuple[Array, Array]
    ) -> None:
        for observed in (None, trials):
            explained = surrogate.explain(observed)
            assert {name for effect in explained.effects for name in effect.hyperparameters} <= set(surrogate.space)
            assert min(effect.share for effect in explained.effects) >= 0
            if explained.spread > 0:  # it predicts the same for all configurations otherwise
                assert sum(effect.share for effect in explained.effects) + explained.rest == pytest.approx(1, abs=0.1)
            assert explained.task_weights == surrogate.task_weights(observed)
            pd.testing.assert_frame_equal(explained.to_frame(), surrogate.explain(observed).to_frame())

    def test_saved_and_loaded_it_answers_the_same(
        self, surrogate: TrainedSurrogate, configurations: Configurations, trials: tuple[Array, Array], tmp_path: Path
    ) -> None:
        surrogate.save(tmp_path / "folder" / "surrogate.safetensors")
        loaded = load_surrogate(tmp_path / "folder" / "surrogate.safetensors")
        assert loaded.space == surrogate.space
        assert (loaded.space_name, loaded.metric) == (surrogate.space_name, surrogate.metric)
        assert loaded.task_names == surrogate.task_names
        # Tensors are stored in single precision.
        assert_same(surrogate.posterior(configurations, trials), loaded.posterior(configurations, trials), 1e-3)


def assert_same(a: Posterior, b: Posterior, tolerance: float = 1e-9) -> None:
    """The two posteriors say the same of every configuration."""
    np.testing.assert_allclose(a.mixture_mean(), b.mixture_mean(), atol=tolerance)
    np.testing.assert_allclose(a.mixture_std(), b.mixture_std(), atol=tolerance)
    np.testing.assert_allclose(expected_improvement(a), expected_improvement(b), atol=tolerance)
