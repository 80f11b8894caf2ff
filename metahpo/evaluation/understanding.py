"""Analysis of recorded trials: importance of hyperparameters, ranges of good values, and differences between tasks.

Importance is the functional analysis of variance of a forest that is fitted to the trials of one task (Hutter, Hoos and
Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML 2014), repeated over tasks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from metahpo.evaluation.regret import normalised_regret
from metahpo.evaluation.statistics.groups import SIZES, bins
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.copula import normal_scores
from metahpo.recommendation.novelty import Familiarity
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import to_json
from metahpo.surrogates.explanation import explain

Array = NDArray[np.float64]

#: Tasks of a space whose trials are explained, at most; trees of each forest; fewest trials to explain.
MAX_TASKS, TREES, MIN_TRIALS = 24, 48, 16
#: Share of a task's configurations that count as good.
GOOD = 0.1
#: A configuration that so large a share of the tasks recorded can be compared over tasks.
RECORDED_SHARE = 0.9
#: Effects listed of each space, and configurations drawn in parallel coordinates, at most.
MAX_EFFECTS, MAX_LINES = 8, 150


def understood(md: MetaDataset, spaces: Sequence[str], metric: str) -> dict[str, pd.DataFrame]:
    """Every table of this file, for some spaces.

    Keys importance, tuned_defaults, good_ranges, learning_curves, size_curves and map, and ``parallel.SPACE`` of each
    space (a column a hyperparameter, and `good`), where the trials tell them.
    """
    learners = [space for space in spaces if space in md.spaces]
    found: dict[str, pd.DataFrame] = {}
    for name, of in (
        ("importance", importance_over_tasks),
        ("tuned_defaults", tuned_defaults),
        ("good_ranges", good_ranges),
    ):
        tables = [table for table in (of(md, space, metric) for space in learners) if len(table)]
        if tables:
            found[name] = pd.concat(tables, ignore_index=True)
    for space in learners:
        names, rows, good = parallel_coordinates(md, space, metric)
        if len(rows):
            found[f"parallel.{space}"] = pd.DataFrame(rows, columns=names).assign(good=good)
    curves = [table for space in learners if (table := mean_learning_curve(md, space)) is not None]
    if curves:
        found["learning_curves"] = pd.concat(curves, ignore_index=True)
    of_sizes = [table for space in learners if (table := size_curves(md, space, metric)) is not None]
    if of_sizes:
        found["size_curves"] = pd.concat(of_sizes, ignore_index=True)
    places = map_of_tasks(md)
    if places is not None:
        found["map"] = places
    return found


def importance_over_tasks(md: MetaDataset, space: str, metric: str, random_state: int = 0) -> pd.DataFrame:
    """Shares of variance that hyperparameters and pairs explain, over tasks.

    Returns
    -------
    DataFrame
        Columns space, hyperparameters ("C", or "C x gamma"), share (mean over tasks), low, high (10 and 90 % quantiles
        over tasks), n_tasks; the largest first.
    """
    tables = [t for t in md.tables(space, metric) if len(t.loss) >= MIN_TRIALS and len(np.unique(t.loss)) > 2]
    rng = np.random.default_rng(random_state)
    if len(tables) > MAX_TASKS:
        tables = [tables[i] for i in np.sort(rng.permutation(len(tables))[:MAX_TASKS])]
    shares: list[dict[str, float]] = []
    for table in tables:
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=random_state, n_jobs=1)
        forest.fit(table.X, normal_scores(table.loss))
        told = explain(forest.predict, md.space(space), {}, {})
        shares.append({" x ".join(effect.hyperparameters): effect.share for effect in told.effects})
    columns = ["space", "hyperparameters", "share", "low", "high", "n_tasks"]
    if not shares:
        return pd.DataFrame(columns=columns)
    frame = pd.DataFrame(shares).fillna(0.0)
    low, high = frame.quantile(0.1), frame.quantile(0.9)
    found = pd.DataFrame({"share": frame.mean(), "low": low, "high": high})
    found = found.sort_values("share", ascending=False, kind="stable").head(MAX_EFFECTS)
    found = found.rename_axis("hyperparameters").reset_index()
    return found.assign(space=space, n_tasks=len(frame))[columns]


def regret_matrix(md: MetaDataset, space: str, metric: str) -> pd.DataFrame:
    """Normalised regret of the configurations that most tasks recorded: index task, a column a configuration (JSON)."""
    trials = md.trials_of(space)
    parts = {}
    for (task, own), table in zip(_in_order(md, trials), md.tables(space, metric), strict=True):
        try:
            parts[task] = pd.Series(normalised_regret(table.loss), index=own["configuration"]).groupby(level=0).first()
        except DataError:
            continue
    if not parts:
        return pd.DataFrame()
    matrix = pd.DataFrame(parts).T
    return matrix.loc[:, matrix.notna().mean() >= RECORDED_SHARE]


def tuned_defaults(md: MetaDataset, space: str, metric: str) -> pd.DataFrame:
    """Best constant configuration for tasks of each size, beside the library's default.

    Returns
    -------
    DataFrame
        Columns space, size, configuration (JSON), regret (mean over the tasks of that size), regret_left_out (the same,
        of the configuration chosen without the family of each task: what a new task may expect), regret_default
        (missing where it was not recorded), n_tasks.
    """
    matrix = regret_matrix(md, space, metric)
    columns = ["space", "size", "configuration", "regret", "regret_left_out", "regret_default", "n_tasks"]
    if matrix.empty:
        return pd.DataFrame(columns=columns)
    sizes = _sizes(md, matrix.index)
    default = to_json(default_configuration(md.spaces[space]))
    rows = []
    for size, tasks in sizes.groupby(sizes, observed=True).groups.items():
        own = matrix.loc[tasks]
        best = own.mean().idxmin()
        family = md.tasks.loc[tasks, "family"]
        left_out = []
        for name in family.unique():
            others = own[(family != name).to_numpy()]
            if len(others):
                left_out += own.loc[(family == name).to_numpy(), others.mean().idxmin()].tolist()
        rows.append(
            {
                "space": space,
                "size": str(size),
                "configuration": str(best),
                "regret": float(own[best].mean()),
                "regret_left_out": float(np.mean(left_out)) if left_out else np.nan,
                "regret_default": float(own[default].mean()) if default in own else np.nan,
                "n_tasks": len(own),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def good_ranges(md: MetaDataset, space: str, metric: str) -> pd.DataFrame:
    """Where the values of good configurations lie, by size of tasks.

    Returns
    -------
    DataFrame
        Columns space, size, hyperparameter, good ("0.03 to 2", the 10 and 90 % quantiles of the best tenth of each
        task's configurations; or the most frequent choice with its share), n_tasks.
    """
    trials = md.trials_of(space)
    rows = []
    for (task, own), table in zip(_in_order(md, trials), md.tables(space, metric), strict=True):
        loss = np.where(np.isnan(table.loss), np.inf, table.loss)
        best = np.argsort(loss, kind="stable")[: max(1, round(GOOD * len(loss)))]
        rows += [{"task": task, **json.loads(own["configuration"].iloc[i])} for i in best]
    frame = pd.DataFrame(rows)
    if frame.empty:
        return pd.DataFrame(columns=["space", "size", "hyperparameter", "good", "n_tasks"])
    sizes = _sizes(md, pd.Index(frame["task"].unique()))
    frame["size"] = frame["task"].map(sizes.astype(str))
    found = []
    for size in sizes.cat.categories:
        own = frame[frame["size"] == size]
        for name in md.space(space):
            if name in own and own[name].notna().any():
                about = {"space": space, "size": size, "hyperparameter": name}
                found.append({**about, "good": _range(own[name].dropna()), "n_tasks": own["task"].nunique()})
    return pd.DataFrame(found)


def map_of_tasks(md: MetaDataset) -> pd.DataFrame | None:
    """Tasks in two dimensions, the first principal components of their standardised meta-features.

    Returns
    -------
    DataFrame or None
        Columns task, family, x, y; None where fewer than three tasks have meta-features.
    """
    if md.meta_features is None or len(md.meta_features) < 3:
        return None
    rows = Familiarity.of(md.meta_features).rows
    if rows.shape[1] < 2:
        return None
    clipped = np.clip(rows, -4.0, 4.0)
    u, s, _ = np.linalg.svd(clipped - clipped.mean(axis=0), full_matrices=False)
    places = u[:, :2] * s[:2]
    places = places * np.sign(places[np.abs(places).argmax(axis=0), [0, 1]])
    names = [str(name) for name in md.meta_features.index]
    families = [str(md.tasks["family"].get(name, name)) for name in names]
    return pd.DataFrame({"task": names, "family": families, "x": places[:, 0], "y": places[:, 1]})


def parallel_coordinates(md: MetaDataset, space: str, metric: str) -> tuple[list[str], Array, NDArray[np.bool_]]:
    """Hyperparameters, configurations as rows (n, d) in the unit cube, and which are the best tenth in the mean."""
    matrix = regret_matrix(md, space, metric)
    encoder, names = md.encoder(space), list(md.space(space))
    if matrix.empty:
        return names, np.zeros((0, len(names))), np.zeros(0, dtype=bool)
    mean = matrix.mean().sort_values(kind="stable")
    n_good = max(1, round(GOOD * len(mean)))
    kept = np.unique([*range(n_good), *np.linspace(0, len(mean) - 1, min(MAX_LINES, len(mean))).astype(int)])
    configurations = [json.loads(text) for text in mean.index[kept]]
    rows = encoder.encode(configurations)
    values = np.full((len(kept), len(names)), np.nan)
    for j, name in enumerate(names):
        columns = rows[:, encoder.columns_of(name)]
        width = columns.shape[1]
        place = columns[:, 0] if width == 1 else columns.argmax(axis=1) / max(1, width - 1)
        active = np.array([name in configuration for configuration in configurations])
        values[:, j] = np.where(active, place, np.nan)
    return names, values, kept < n_good


def mean_learning_curve(md: MetaDataset, space: str, n_points: int = 20) -> pd.DataFrame | None:
    """Mean learning curve: the loss relative to the best and the first of its curve, at shares of the epochs.

    Returns
    -------
    DataFrame or None
        Columns space, share_of_epochs, loss (1: the first epoch's, 0: the best), low, high (10 and 90 % quantiles over
        trials); None where no curves were recorded.
    """
    at = np.linspace(0, 1, n_points)
    relative = []
    for curves in md.learning_curves(space).values():
        for curve in curves:
            spread = curve[0] - curve.min() if len(curve) > 2 and np.isfinite(curve).all() else 0.0
            if spread > 0:
                scaled = (curve - curve.min()) / spread
                relative.append(np.interp(at, np.linspace(0, 1, len(curve)), scaled))
    if not relative:
        return None
    table = np.array(relative)
    low, high = np.quantile(table, [0.1, 0.9], axis=0)
    return pd.DataFrame({"space": space, "share_of_epochs": at, "loss": table.mean(axis=0), "low": low, "high": high})


def size_curves(md: MetaDataset, space: str, metric: str) -> pd.DataFrame | None:
    """Loss and ranks of configurations after training on more rows of the same dataset.

    Returns
    -------
    DataFrame or None
        Columns space, rows, loss (relative to that of the same configuration on the fewest rows; mean over datasets),
        low, high (10 and 90 % quantiles over datasets), correlation (Spearman's, of the configurations' losses with
        those on the most rows; mean over datasets), n_datasets. None where no dataset has two sizes.
    """
    if not {"dataset", "size"} <= set(md.tasks.columns):
        return None
    trials = md.trials[(md.trials["space"] == space) & md.trials["task"].isin(md.tasks.index[md.tasks["size"].notna()])]
    known = md.tasks.loc[trials["task"], ["dataset", "size"]].set_index(trials.index)
    losses = trials.assign(dataset=known["dataset"], rows=known["size"].astype(float), loss=trials[f"loss.{metric}"])
    rows = []
    for _, own in losses.groupby("dataset", sort=False):
        table = own.pivot_table("loss", "configuration", "rows").dropna()
        if table.shape[1] < 2 or len(table) < MIN_TRIALS or not (table.iloc[:, 0] > 0).all():
            continue
        relative = table.div(table.iloc[:, 0], axis=0).mean()
        ranks = table.corrwith(table.iloc[:, -1], method="spearman")
        rows += [(size, relative[size], ranks[size]) for size in table.columns]
    if not rows:
        return None
    frame = pd.DataFrame(rows, columns=["rows", "loss", "correlation"]).groupby("rows")
    found = frame.agg(
        loss=("loss", "mean"), low=("loss", lambda v: v.quantile(0.1)), high=("loss", lambda v: v.quantile(0.9)),
        correlation=("correlation", "mean"), n_datasets=("loss", "size"),
    ).reset_index()  # fmt: skip
    return found.assign(space=space)[["space", "rows", "loss", "low", "high", "correlation", "n_datasets"]]


def _in_order(md: MetaDataset, trials: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Trials of each task, in the order of :meth:`MetaDataset.tables`."""
    groups = dict(iter(trials.groupby("task", sort=False)))
    return [(str(task), groups[task]) for task in md.tasks.index if task in groups]


def _sizes(md: MetaDataset, tasks: Sequence[str] | pd.Index) -> pd.Series:
    """Size of each task, in bins; one bin where rows are not known."""
    rows = md.tasks["n_rows"] if "n_rows" in md.tasks else pd.Series(np.nan, index=md.tasks.index)
    known = rows.loc[list(tasks)].astype(float)
    if known.isna().any():
        return pd.Series(pd.Categorical(["all sizes"] * len(known)), index=known.index)
    found = bins(known, SIZES, "rows")
    return found.cat.remove_unused_categories()


def _range(values: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        counts = values.astype(str).value_counts(normalize=True)
        return f"{counts.index[0]} ({counts.iloc[0]:.0%})"
    low, high = np.quantile(values.astype(float), [0.1, 0.9])
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
