"""Evaluation by cross-validation over task families: from a protocol to histories, and from histories to a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.evaluation_plan import make_plan
from metahpo.evaluation.result import EvaluationReport
from metahpo.evaluation.result_assembly import assemble
from metahpo.evaluation.settings import EvaluationSettings, SettingChanges
from metahpo.metadata.meta_dataset import MetaDataset, check_meta_dataset
from metahpo.numerics.arithmetic import own_arithmetic


@own_arithmetic()
def evaluate(
    md: MetaDataset,
    methods: Sequence[str | Method] | None = None,
    settings: EvaluationSettings | None = None,
    *,
    n_jobs: int | None = None,
    folder: Path | str | None = None,
    **changes: Unpack[SettingChanges],
) -> EvaluationReport:
    """Measure methods on tasks held out of training.

    Parameters
    ----------
    md : MetaDataset
    methods : sequence of str or Method, default=None
        Names that :func:`~metahpo.evaluation.baselines.catalogue.method_named` finds, or objects that fulfil
        :class:`~metahpo.evaluation.baselines.baseline.Method`. The first is the reference of comparisons. None: the
        quick ones, :data:`~metahpo.evaluation.baselines.catalogue.DEFAULT_METHODS` (`default` only where defaults were
        recorded and are not the first trial of every method).
    settings : EvaluationSettings, default=None
        Trials, folds, seeds, metric, spaces and protocol. None: the defaults.
    n_jobs : int, default=None
        Processes (joblib), one a (space, fold, method, seed). None: 1, or what ``joblib.parallel_config`` says.
    folder : path, default=None
        Where histories are kept. An evaluation that was ended and is started again with the same folder goes on.
    **changes
        Single settings, by the names of :class:`~metahpo.evaluation.settings.EvaluationSettings`, such as
        ``n_trials=25``.

    Returns
    -------
    EvaluationReport
        A method that failed is named in its `failures` and `notes`. A search that failed keeps what it had found; a
        method of which every search failed is left out.

    Raises
    ------
    DataError
        No methods, two of one name, a method without name or repetitions, `n_trials` or `n_seeds` below 1, fewer task
        families than folds, a space in which no fold has tasks both to learn from and to be held out, `honest` without
        recorded losses of two fits, or every method failed.
    UnknownNameError
        A method, space, metric or setting that does not exist.
    StoreError
        The folder cannot be written.
    """
    check_meta_dataset(md)
    started = time.perf_counter()
    if settings is None or changes:
        settings = (settings or EvaluationSettings()).but(**changes)
    plan = make_plan(md, methods, settings, n_jobs=n_jobs, folder=folder)
    results = plan.run()
    return assemble(plan, results, time.perf_counter() - started)
