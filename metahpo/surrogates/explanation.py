"""The explanation of a prediction by hyperparameters, source tasks and meta-features.

Symbols: n sampled configurations, H hyperparameters; f the expected z-score as a function of H independent
hyperparameters, each drawn uniformly on the scale of the space, whatever prior it comes with.

    f = f_0 + sum_h f_h(x_h) + sum_{g < h} f_gh(x_g, x_h) + rest          (functional analysis of variance)
    share of h = Var f_h / Var f,       share of the pair g, h = Var f_gh / Var f

Each f_h is a polynomial of degree 4 in a numeric hyperparameter, or has one value for each choice. Each f_gh is a sum
of products of such terms. The terms are orthogonal and are fitted to a Sobol sample by least squares. The shares are
therefore Sobol indices (Sudret 2008, "Global sensitivity analysis using polynomial chaos expansions"; for
hyperparameters: Hutter, Hoos and Leyton-Brown, ICML 2014). If there are too many pairs for the sample, only those are
fitted that explain most of the residual of single hyperparameters. The rest contains interactions of three and more,
and functions that the polynomials cannot represent.

A conditional hyperparameter is drawn like any other and ignored if it is inactive. Its own share is therefore small if
it is seldom active, and its joint effect with its parent is a share of the pair. Constants have no share. Forbidden
combinations are predicted too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from scipy.stats import qmc

from metahpo.space.encoding import SpaceEncoder

Array = NDArray[np.float64]

#: Configurations asked about; a power of 2, for the balance of the Sobol sequence.
N_SAMPLES = 2048
#: Degree of the polynomial of one hyperparameter, and of each of the factors of a pair.
DEGREE, PAIR_DEGREE = 4, 3
#: Terms of pairs fitted, at most, as a share of the sample.
PAIR_TERMS = 0.2
#: A direction of less than this share of a hyperparameter's variation is rounding error.
RANK_TOLERANCE = 1e-6
#: Effects and tasks printed, at most, and the least share of those that are.
PRINTED, MIN_PRINTED = 8, 0.005


@dataclass(frozen=True)
class Effect:
    """Effect of one hyperparameter on the expected z-score, or the interaction effect of two.

    Attributes
    ----------
    hyperparameters : tuple of str
        One name, or two.
    share : float
        Share of the variance of the expected z-score over the search space.
    """

    hyperparameters: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Explanation:
    """Importance of hyperparameters on a task, and of source tasks in the prediction.

    Attributes
    ----------
    effects : tuple of Effect
        Single hyperparameters and pairs, the largest share first.
    rest : float
        Remaining share: interactions of three and more hyperparameters.
    spread : float
        Standard deviation of the expected score over the search space; 1 is that of the scores of a recorded task.
    task_weights : dict of str to float
        Source tasks and their shares in the prediction, largest first.
    meta_features : dict of str to float
        Meta-features and their shares in the task similarity, largest first; empty if no meta-feature is used.
    """

    effects: tuple[Effect, ...]
    rest: float
    spread: float
    task_weights: Mapping[str, float]
    meta_features: Mapping[str, float]

    def importance(self) -> dict[str, float]:
        """Share of each hyperparameter, alone and in pairs, largest first.

        A pair counts for both of its hyperparameters.
        """
        total: dict[str, float] = {}
        for effect in self.effects:
            for name in effect.hyperparameters:
                total[name] = total.get(name, 0.0) + effect.share
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def to_frame(self) -> pd.DataFrame:
        """One row an effect: columns hyperparameter, with (missing for a single one), share."""
        return pd.DataFrame(
            {
                "hyperparameter": [e.hyperparameters[0] for e in self.effects],
                "with": [e.hyperparameters[1] if len(e.hyperparameters) > 1 else None for e in self.effects],
                "share": [e.share for e in self.effects],
            }
        )

    def __str__(self) -> str:
        told = [effect for effect in self.effects[:PRINTED] if effect.share >= MIN_PRINTED]
        smaller = sum(effect.share for effect in self.effects[len(told) :])
        lines = [f"what the expected score depends on (its standard deviation over the space is {self.spread:.2f}):"]
        lines += [f"{effect.share:>6.1%}  {' x '.join(effect.hyperparameters)}" for effect in told]
        lines.append(f"{smaller:>6.1%}  other hyperparameters and pairs")
        lines.append(f"{self.rest:>6.1%}  three and more together")
        lines.append("source tasks that it leans on:")
        lines += _largest(self.task_weights)
        if self.meta_features:
            lines.append("meta-features by which tasks are taken for like it:")
            lines += _largest(self.meta_features)
        return "\n".join(lines)


def explain(
    expected_score: Callable[[Array], Array],
    space: ConfigurationSpace,
    task_weights: Mapping[str, float],
    meta_features: Mapping[str, float],
) -> Explanation:
    """Explain a function on a search space.

    Parameters
    ----------
    expected_score : callable
        Encoded rows of shape (n, d) -> scores of shape (n,).
    space : ConfigurationSpace
    task_weights, meta_features : mapping of str to float
        Source tasks and meta-features, and their shares, most first.
    """
    rows, terms = _sample(space)
    scores = expected_score(rows)
    variance = float(scores.var())
    if variance < np.square(1e-9):  # the prediction is constant
        return Explanation(tuple(Effect((name,), 0.0) for name in terms), 0.0, 0.0, task_weights, meta_features)
    standard = (scores - scores.mean()) / np.sqrt(variance)
    singles = list(terms.values())
    left = standard - np.hstack(singles) @ _least_squares(np.hstack(singles), standard)
    pairs = _telling_pairs(terms, left)
    columns = {(name,): term for name, term in terms.items()} | pairs
    design = np.hstack(list(columns.values()))
    coefficients = _least_squares(design, standard)
    n, p = design.shape
    rest = float(np.square(standard - design @ coefficients).sum() / (n - p))
    effects, first = [], 0
    for names, term in columns.items():
        last = first + term.shape[1]
        share = float(np.square(term @ coefficients[first:last]).mean())
        # The residual of higher orders acts as noise here, and each term fits a part of it.
        effects.append(Effect(names, max(0.0, share - rest * (last - first) / n)))
        first = last
    effects.sort(key=lambda effect: -effect.share)
    return Explanation(tuple(effects), rest, float(np.sqrt(variance)), task_weights, meta_features)


def _largest(shares: Mapping[str, float]) -> list[str]:
    """Lines of the largest shares, which come first."""
    return [f"{share:>6.1%}  {name}" for name, share in list(shares.items())[:PRINTED] if share >= MIN_PRINTED]


def _sample(space: ConfigurationSpace) -> tuple[Array, dict[str, Array]]:
    """Encoded rows, shape (n, d), and the terms of each hyperparameter that varies, shapes (n, p_h)."""
    unconditional = ConfigurationSpace()
    unconditional.add(*space.values())
    encoder, rng = SpaceEncoder(unconditional), np.random.default_rng(0)
    drawn = encoder.decode(qmc.Sobol(max(1, encoder.n_columns), rng=rng).random(N_SAMPLES)[:, : encoder.n_columns])
    values = encoder.encode(drawn)
    terms = {name: _orthonormal(values[:, encoder.columns_of(name)]) for name in space}
    conditional = SpaceEncoder(space)
    codes = {name: known.codes([values[name] for values in drawn]) for name, known in conditional.domain.values.items()}
    active = conditional.rows_of(codes, conditional.domain.activity(codes, N_SAMPLES), N_SAMPLES)
    return active, {name: term for name, term in terms.items() if term.shape[1] > 0}


def _orthonormal(columns: Array) -> Array:
    """Terms (n, p) that span the polynomials of one column, or functions of several indicator columns.

    They are orthogonal to each other and to one, of mean square one, and those of low degree come first.
    """
    powers = np.hstack([columns**k for k in range(1, DEGREE + 1)]) if columns.shape[1] == 1 else columns
    basis = [np.ones(len(columns))]
    for power in powers.T:
        new = power.astype(np.float64)
        for _ in range(2):  # twice is enough for orthogonality to the last digit
            for term in basis:
                new = new - term * np.mean(new * term)
        size = np.sqrt(np.mean(new**2))
        if size > RANK_TOLERANCE:
            basis.append(new / size)
    return np.array(basis[1:]).reshape(-1, len(columns)).T


def _telling_pairs(terms: Mapping[str, Array], left: Array) -> dict[tuple[str, ...], Array]:
    """Products of the terms of two hyperparameters, for the pairs that explain most of the residual `left` (n,)."""
    low = {name: term[:, :PAIR_DEGREE] if term.shape[1] <= DEGREE else term for name, term in terms.items()}
    energy = {
        (g, h): float(np.square((low[g] * left[:, None]).T @ low[h] / len(left)).sum()) for g, h in combinations(low, 2)
    }
    pairs: dict[tuple[str, ...], Array] = {}
    room = PAIR_TERMS * len(left)
    for g, h in sorted(energy, key=lambda pair: -energy[pair]):
        room -= low[g].shape[1] * low[h].shape[1]
        if room < 0:
            break
        pairs[g, h] = (low[g][:, :, None] * low[h][:, None, :]).reshape(len(left), -1)
    return pairs


def _least_squares(terms: Array, values: Array) -> Array:
    """Coefficients (p,) of terms (n, p) that fit values (n,) best."""
    return np.asarray(np.linalg.solve(terms.T @ terms + 1e-9 * np.eye(terms.shape[1]), terms.T @ values))
