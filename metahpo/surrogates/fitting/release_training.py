"""Training of all models of a released meta-dataset, side by side in processes of one thread each."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import joblib
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.processes import check_n_jobs
from metahpo.surrogates.artefact import surrogate_path
from metahpo.surrogates.cost import CostModel, cost_path
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.fitting.training import TrainingSettings, train_surrogate
from metahpo.surrogates.fitting.training_loop import TrainingLoop, Validation
from metahpo.surrogates.improvement import improvement_path

#: Name of the surrogate of all learners together, where spaces are named.
ALL = "all"


@dataclass(frozen=True)
class Trained:
    """A surrogate that was trained and written.

    Attributes
    ----------
    space : str
        A search space of the meta-dataset, or ``"all"``.
    metric : str
    path : Path
        File of the surrogate.
    validations : list of Validation
        Quality on the held-out task families while it was trained; empty without a validation share.
    """

    space: str
    metric: str
    path: Path
    validations: list[Validation]


def train_release(
    folder: Path | str,
    spaces: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    settings: TrainingSettings | None = None,
    *,
    random_state: int = 0,
    checkpoints: Path | str | None = None,
    n_jobs: int = -1,
) -> Iterator[Trained]:
    """Train the surrogates, the models of improvement and those of cost, and write them into the meta-dataset's folder.

    Each training runs on one thread: its matrices are small, so that threads cost more time than they save, and many
    times as much on a busy machine. The models do not depend on `n_jobs`.

    Parameters
    ----------
    folder : path or str
        Folder of a meta-dataset, or the name of a shipped one.
    spaces : sequence of str, default=None
        Search spaces, ``"all"`` for all together. None: each, and all together.
    metrics : sequence of str, default=None
        Metrics to train for. None: the meta-dataset's first.
    settings : TrainingSettings, default=None
    random_state : int, default=0
    checkpoints : path or str, default=None
        Folder that keeps unfinished trainings. Started again with it, they go on; it is emptied at the end.
    n_jobs : int, default=-1
        Trainings that run side by side, each in a process; -1: one a core. A single one runs in this process and shows
        its own progress.

    Yields
    ------
    Trained
        In the order in which the trainings end.

    Raises
    ------
    UnknownNameError
        A space or a metric that does not exist. Nothing is written then.
    DataError
        Settings or a number of processes that mean nothing, or a device that is not there.
    StoreError, ArtefactError
        A file cannot be written, or a checkpoint is of another training.
    """
    check_n_jobs(n_jobs)
    located = release.locate(folder)
    md = MetaDataset.load(located)
    names = list(spaces or [*md.spaces, *([ALL] if len(md.spaces) > 1 else [])])
    metric_names = [md.metric(name) for name in metrics or md.metrics[:1]]
    asked = [_Training(located, name, metric, checkpoints) for metric, name in product(metric_names, names)]
    _write_costs(md, located, names)
    n_jobs = min(joblib.effective_n_jobs(n_jobs), len(asked))
    work = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)(
        joblib.delayed(_train)(md, one, settings or TrainingSettings(), random_state, progress=n_jobs == 1)
        for one in asked
    )
    quiet = n_jobs == 1 or not sys.stderr.isatty()
    yield from tqdm(work, total=len(asked), desc="surrogates", disable=quiet)
    for one in asked:  # only now: started again, what is finished is not trained again
        if one.checkpoint is not None:
            one.checkpoint.unlink()


@dataclass(frozen=True)
class _Training:
    """One training: where its files lie."""

    folder: Path
    name: str
    metric: str
    checkpoints: Path | str | None

    @property
    def space(self) -> str | None:
        return _space_of(self.name)

    @property
    def checkpoint(self) -> Path | None:
        return None if self.checkpoints is None else Path(self.checkpoints) / f"{self.name}.{self.metric}.checkpoint"


def _space_of(name: str) -> str | None:
    """The space as meta-datasets and artefacts name it; None is all together."""
    return None if name == ALL else name


def _write_costs(md: MetaDataset, folder: Path, names: Sequence[str]) -> None:
    costs = {space: CostModel.of(md, space) for space in map(_space_of, names)}  # all of them before one is written
    for space, cost in costs.items():
        if cost is not None:
            cost.save(cost_path(folder, space), release.tables_checksum(folder))


def _train(
    md: MetaDataset, training: _Training, settings: TrainingSettings, random_state: int, *, progress: bool
) -> Trained:
    space, metric = training.space, training.metric
    path = surrogate_path(training.folder, space, metric)
    path.parent.mkdir(exist_ok=True)
    training_loop = TrainingLoop(training.checkpoint, progress=progress)
    with threadpool_limits(1):
        train_surrogate(md, space, metric, random_state, settings, training_loop).save(path)
        improvement = learn_improvement(md, space, metric, random_state)
        if improvement is not None:
            improvement.save(improvement_path(training.folder, space, metric))
    return Trained(training.name, metric, path, [] if progress else training_loop.validations)
