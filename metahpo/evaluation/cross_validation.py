"""Evaluation by cross-validation over task families: from a protocol to histories, and from histories to a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from metahpo.evaluation.assembly import assemble
from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.plan import Folds, make_plan
from metahpo.evaluation.result import EvaluationReport
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.arithmetic import own_arithmetic


@own_arithmetic()
def evaluate(
    md: MetaDataset,
    methods: Sequence[str | Method] | None = None,
    n_trials: int = 50,
    spaces: Sequence[str | None] | None = None,
    metric: str | None = None,
    n_folds: Folds = 5,
    random_state: int = 0,
    n_jobs: int | None = None,
    honest: bool = False,
    default_first: bool = True,
    n_seeds: int = 1,
    folder: Path | str | None = None,
    understand: bool = False,
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
    n_trials : int, default=50
        Trials of each search. A task with fewer recorded configurations is searched to its end.
    spaces : sequence of str or None, default=None
        Search spaces to evaluate in, each on its own; None among them is the CASH space over all learners. None: every
        learner's space.
    metric : str, default=None
        None: the default metric of the meta-dataset. Where the scorer was not recorded, the nearest metric stands for
        it, and a note says which.
    n_folds : int or "family", default=5
        Folds of task families; "family" leaves out each family in turn.
    random_state : int, default=0
        Decides the folds and every random pick; the same number gives the same regrets whatever `n_jobs` is.
    n_jobs : int, default=None
        Processes (joblib), one a (space, fold, method, seed). None: 1, or what ``joblib.parallel_config`` says.
    honest : bool, default=False
        Choose configurations by one half of a task's fits and judge them by the other half. The usual regret is
        measured as well: :attr:`~metahpo.evaluation.result.EvaluationReport.usual`.
    default_first : bool, default=True
        Make the library's default the first trial of every search, cold ones too. In the CASH space it is the default
        of the learner whose default ranks best on the training tasks. Where it was not recorded, a note says so.
    n_seeds : int, default=1
        How often each method learns and searches, with the seeds `random_state`, `random_state` + 1, ...
    folder : path, default=None
        Where histories are kept. An evaluation that was ended and is started again with the same folder goes on.
    understand : bool, default=False
        Tell what the recorded trials tell of hyperparameters: their importance, good ranges, better defaults.

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
        A method, space or metric that does not exist.
    StoreError
        The folder cannot be written.
    """
    started = time.perf_counter()
    plan = make_plan(
        md, methods, n_trials, spaces, metric, n_folds, random_state, n_jobs, honest, default_first, n_seeds, folder,
        understand,
    )  # fmt: skip
    results = plan.run()
    return assemble(plan, results, time.perf_counter() - started)
