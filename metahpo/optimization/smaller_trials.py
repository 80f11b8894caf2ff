"""Trials on fewer rows than the whole, as uncertain observations of what the whole would give.

Symbols: n trials; for a trial on r of N rows, l its loss and L the loss of the same configuration on all rows.

    L = l + b_r + e,        e ~ N(0, v_r)

The shift b_r is the mean of L - l over the configurations that were tried at both sizes, and 0 without any. The
variance v_r is estimated from the same differences. An assumed variance counts as `PRIOR_TRIALS` of them: it is a share
of the variance of the losses, `PRIOR_SHARE` for each halving of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metahpo.space.configuration import to_json
from metahpo.surrogates.loss_spread import spread_of
from metahpo.trials.history import TrialHistory

Array = NDArray[np.float64]

PRIOR_SHARE, PRIOR_TRIALS = 0.15, 4.0
#: Spread of losses that are all equal: a smaller trial is uncertain all the same.
LEAST_SPREAD = 1e-9
#: Halvings that count for a trial whose whole has an unknown number of rows.
UNKNOWN_HALVINGS = 2.0


def on_the_scale_of_the_whole(history: TrialHistory) -> tuple[Array, Array]:
    """Losses (n,) that the trials would have on all rows, and their standard deviations (n,), 0 for whole trials."""
    losses, noise, whole = history.losses, np.zeros(len(history)), history.whole
    if whole.all():
        return losses, noise
    texts = [to_json(configuration) for configuration in history.configurations]
    at_whole = _means(texts, losses, whole)
    sizes, size_of_whole = history.rows, _rows_of_the_whole(history)
    spread = spread_of(losses[whole]) or spread_of(losses) or LEAST_SPREAD
    for size in np.unique(sizes[~whole]):
        of_size = ~whole & (sizes == size)
        halvings = np.log2(size_of_whole / size) if np.isfinite(size_of_whole) else UNKNOWN_HALVINGS
        pairs = [(at_whole[text], loss) for text, loss in _means(texts, losses, of_size).items() if text in at_whole]
        # In units of the spread, squares of large losses do not overflow.
        change = np.array([large / spread - small / spread for large, small in pairs])
        shift = float(change.mean()) if len(change) else 0.0
        squares = float(np.square(change - shift).sum())
        assumed = PRIOR_TRIALS * PRIOR_SHARE * halvings
        noise[of_size] = spread * np.sqrt((assumed + squares) / (PRIOR_TRIALS + max(0, len(change) - 1)))
        losses[of_size] += shift * spread
    return losses, noise


def _rows_of_the_whole(history: TrialHistory) -> float:
    return float(history.rows.max(initial=1.0)) if history.n_rows is None else float(history.n_rows)


def _means(texts: Sequence[str], losses: Array, where: NDArray[np.bool_]) -> dict[str, float]:
    """Mean loss of each configuration among some trials; configurations that failed are left out."""
    found: dict[str, list[float]] = {}
    for i in np.flatnonzero(where & np.isfinite(losses)).tolist():
        found.setdefault(texts[i], []).append(float(losses[i]))
    return {text: float(np.mean(values)) for text, values in found.items()}
