"""The base of classifier and regressor, a scikit-learn estimator whose ensemble members are batched models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from metahpo.networks.batched.training_configuration import OPTIMISERS, SCHEDULES, ModelStatus, Outcome
from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS, Activation, Normalisation
from metahpo.networks.mlp.table_encoding import TableEncoder, categorical_positions
from metahpo.networks.network_targets import held_out_rows
from metahpo.numerics.arithmetic import own_arithmetic

if TYPE_CHECKING:
    from metahpo.networks.mlp.mlp_fitting import Job, Split

#: Fewer training rows than this are all learnt from: a few held out would stop training by chance.
LEAST_ROWS_TO_HOLD_OUT = 50


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Base class of :class:`NetworkClassifier` and :class:`NetworkRegressor`.

    Attributes
    ----------
    history_ : dict of str to list of float
        Per epoch of the first member: train loss, validation loss and metric, seconds; see
        :class:`metahpo.networks.batched.training_configuration.Outcome`.
    status_ : {"finished", "stopped", "diverged"}
        "diverged" where any member has, else the first member's.
    n_epochs_, best_epoch_ : int
        Epochs that the first member trained, and the one (from 1) whose weights predict.
    fit_seconds_ : float
        Seconds of training; of a network that was trained beside others, its share.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "members": [Interval(Integral, 1, None, closed="left")],
        "depth": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "residual": ["boolean"],
        "normalisation": [StrOptions(set(NORMALISATIONS))],
        "dropout": [Interval(Real, 0.0, 1.0, closed="left")],
        "bins": [Interval(Integral, 0, None, closed="left")],
        "embedding_size": [Interval(Integral, 1, None, closed="left")],
        "optimiser": [StrOptions(set(OPTIMISERS))],
        "learning_rate": [Interval(Real, 0.0, None, closed="neither")],
        "momentum": [Interval(Real, 0.0, 1.0, closed="left")],
        "weight_decay": [Interval(Real, 0.0, None, closed="left")],
        "l1": [Interval(Real, 0.0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "schedule": [StrOptions(set(SCHEDULES))],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0.0, 1.0, closed="neither")],
        "categorical_features": ["array-like", None],
        "device": [str],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    #: Seed that `random_state` gave the current fit.
    seed_: int
    #: What training has made of each member.
    outcomes_: Sequence[Outcome]

    def __init__(
        self,
        *,
        members: int = 4,
        depth: int = 3,
        width: int = 64,
        activation: Activation = "relu",
        residual: bool = False,
        normalisation: Normalisation = "none",
        dropout: float = 0.1,
        bins: int = 8,
        embedding_size: int = 8,
        optimiser: str = "adamw",
        learning_rate: float = 5e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.3,
        l1: float = 0.0,
        batch_size: int = 32,
        schedule: str = "cosine",
        epochs: int = 40,
        early_stopping: bool = True,
        patience: int = 10,
        validation_fraction: float = 0.2,
        categorical_features: Sequence[int | str] | None = None,
        device: str = "cpu",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.members = members
        self.depth = depth
        self.width = width
        self.activation = activation
        self.residual = residual
        self.normalisation = normalisation
        self.dropout = dropout
        self.bins = bins
        self.embedding_size = embedding_size
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.l1 = l1
        self.batch_size = batch_size
        self.schedule = schedule
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.categorical_features = categorical_features
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train from fresh weights.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_features)
            Columns of a DataFrame that hold no numbers, and `categorical_features`, are embedded; missing values are
            allowed everywhere.
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), default=None

        Raises
        ------
        DataError
            A device that is not there.
        MemoryError
            The network does not fit into memory.
        """
        from metahpo.networks.mlp.mlp_fitting import fit_together  # torch loads with the first fit

        fit_together([self], X, y, sample_weight)
        return self

    @property
    def n_network_outputs(self) -> int:
        """Outputs of the network: classes, or one number."""
        raise NotImplementedError

    def finish(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Store the results of training of each member."""
        before, first = getattr(self, "history_", {}), outcomes[0]
        self.outcomes_ = outcomes
        self.history_ = {name: [*before.get(name, ()), *values] for name, values in first.history.items()}
        diverged = any(outcome.status is ModelStatus.DIVERGED for outcome in outcomes)
        self.status_ = ModelStatus.DIVERGED.value if diverged else first.status.value
        self.n_epochs_, self.best_epoch_ = len(self.history_["train_loss"]), first.best_epoch
        self.fit_seconds_ = seconds
        if diverged:
            message = f"training diverged in epoch {self.n_epochs_}; the weights are those of epoch {self.best_epoch_}"
            warnings.warn(f"{message}. Try a lower learning_rate.", ConvergenceWarning, stacklevel=2)

    @own_arithmetic()
    def _start_partial(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """First of several partial fits: as `fit`, but for one epoch, and no row is held out."""
        from metahpo.networks.mlp.mlp_fitting import train_jobs

        job = self._first_job(X, y, sample_weight)
        train_jobs([replace(job, splits=[_all_of(np.concatenate(job.splits[0]))], one_epoch=True)])
        return self

    @own_arithmetic()
    def _go_on(self, X: Any, y: Any, sample_weight: Any) -> Self:
        from metahpo.networks.mlp.mlp_fitting import train_jobs

        train_jobs([self._next_job(X, y, sample_weight)])
        return self

    def _first_job(self, X: Any, y: Any, sample_weight: Any, watched: tuple[Any, Any] | None = None) -> Job:
        """Prepare training: check the data, hold out rows, learn the encoding.

        If no row is held out, the learning curve is of the rows `watched`.
        """
        from metahpo.networks.mlp.mlp_fitting import Job

        self._validate_params()
        self.history_ = {}
        rows = self._checked(X, reset=True)
        target = self._learn_target(self._checked_target(y, len(rows)))
        self.seed_ = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        splits = self._splits(target)
        self._encoder = TableEncoder(categorical_positions(rows, self.categorical_features), self.bins).fit(rows)
        table = self._table(rows, target, self._weight(sample_weight, target))
        if watched is None or len(splits[0][1]):
            return Job(self, table, splits)
        more = self._checked(watched[0], reset=False)
        table = table.followed_by(
            self._table(more, self._encode_target(self._checked_target(watched[1], len(more))), None)
        )
        return Job(self, table, [(splits[0][0], np.arange(len(rows), len(rows) + len(more)))], stops=False)

    def _next_job(self, X: Any, y: Any, sample_weight: Any) -> Job:
        """Job of one more epoch from the current state."""
        from metahpo.networks.mlp.mlp_fitting import Job

        self._validate_params()
        rows = self._checked(X, reset=False)
        target = self._encode_target(self._checked_target(y, len(rows)))
        starts = [replace(o.last, parameters=o.parameters, statistics=o.statistics) for o in self.outcomes_]
        table = self._table(rows, target, self._weight(sample_weight, target))
        return Job(self, table, [_all_of(np.arange(len(rows)))], starts=starts, one_epoch=True)

    def _table(self, rows: Any, target: Any, weight: Any) -> Any:
        from metahpo.networks.mlp.mlp_fitting import Table

        return Table(*self._encoder.transform(rows), target, weight, self._encoder.n_codes)

    @own_arithmetic()
    def _output(self, X: Any) -> NDArray[np.float64]:
        """Outputs of every member (members, n, n_outputs)."""
        from metahpo.networks.mlp.mlp_fitting import outputs

        check_is_fitted(self, "outcomes_")
        rows = self._checked(X, reset=False)
        return outputs(self, self._table(rows, np.zeros(len(rows)), None))

    def _checked(self, X: Any, reset: bool) -> pd.DataFrame | NDArray[np.float64]:
        """X as an array of numbers, or unchanged if some columns are not numeric."""
        if isinstance(X, pd.DataFrame) and len(X) and categorical_positions(X, None):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        numbers: NDArray[np.float64] = validate_data(
            self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        return numbers

    def _checked_target(self, y: Any, n_rows: int) -> NDArray[Any]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        target = column_or_1d(y, warn=True)
        if pd.isna(target).any():
            raise ValueError("Input y contains NaN; drop the rows whose target is missing.")
        if len(target) != n_rows:
            raise ValueError(f"X and y must have equally many rows, but have {n_rows} and {len(target)}.")
        return np.asarray(target)

    def _splits(self, target: NDArray[Any]) -> list[Split]:
        """Training rows and validation rows.

        A share of each class is held out, if the class has enough rows. Each member holds out other rows, so that
        together they learn from all.
        """
        rows = np.arange(len(target))
        if not self.early_stopping or len(rows) < LEAST_ROWS_TO_HOLD_OUT:
            return [_all_of(rows)]
        seeds = (self.seed_ + member for member in range(self.members))
        chosen = [held_out_rows(target, self.validation_fraction, seed) for seed in seeds]
        return [(np.setdiff1d(rows, held_out), held_out) for held_out in chosen]

    def _weight(self, sample_weight: Any, target: NDArray[Any]) -> NDArray[np.float64] | None:
        """Weights of the rows, of mean one; None where all are equal."""
        if sample_weight is None:
            return None
        weight: NDArray[np.float64] = _check_sample_weight(
            sample_weight, target, dtype=np.float64, ensure_non_negative=True
        )
        normed: NDArray[np.float64] = weight / weight.mean()
        return normed

    def _learn_target(self, target: NDArray[Any]) -> NDArray[Any]:
        """Class indices (int64) or standardised numbers (float64), and what it takes to go back."""
        raise NotImplementedError

    def _encode_target(self, target: NDArray[Any]) -> NDArray[Any]:
        """Encode a target with the values that :meth:`_learn_target` learnt."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _all_of(rows: NDArray[np.int64]) -> Split:
    """Train on all rows, without held-out rows."""
    return rows, rows[:0]
