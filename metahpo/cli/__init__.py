"""Command line: `metahpo COMMAND`. A command is one call of the library, and imports no more than it needs."""

from __future__ import annotations

import argparse
import os
import select
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from metahpo import __version__
from metahpo.cli import build
from metahpo.cli import evaluate as evaluation
from metahpo.cli import recommend as recommending
from metahpo.cli import tune as tuning
from metahpo.cli.command_parser import CommandParser
from metahpo.exceptions import MetaHPOError
from metahpo.processes import jobs

if TYPE_CHECKING:
    from metahpo.recommendation.recommender import Recommender
    from metahpo.tasks.task import Task


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    0 on success, 1 with a message on an error of the user's, 130 when interrupted, 141 where nobody reads on.
    """
    options = _parser().parse_args(build.with_verb(sys.argv[1:] if arguments is None else arguments))
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        if _is_read(sys.stdout):
            raise
        # What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MetaHPOError as error:
        print(f"metahpo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        told = interrupt.args[0] if interrupt.args else "interrupted; what was finished is kept"
        print(f"metahpo: {told}", file=sys.stderr)
        return 130
    return 0


def _is_read(stream: TextIO) -> bool:
    """Whether the other end of a pipe is open; that of ``| head`` is not for long."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLERR)
    return not poll.poll(0)


def _parser() -> CommandParser:
    parser = CommandParser(prog="metahpo", description="Hyperparameters recommended from experience.")
    parser.add_argument("--version", action="version", version=f"metahpo {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    building = commands.add_parser("build", help="tune learners over many datasets; started again, it goes on")
    build.add_verbs(building.add_subparsers(required=True, metavar="VERB"))
    build.add_status(commands.add_parser("status", help="the same as `build status`"))
    build.add_prefetch(commands.add_parser("prefetch", help="the same as `build prefetch`"))

    release = commands.add_parser("release", help="make a meta-dataset of the finished tasks of a build")
    release.add_argument("folder", type=Path, help="folder of the build")
    release.add_argument("out", type=Path, help="folder of the meta-dataset; its name is the meta-dataset's")
    release.add_argument(
        "--kind", choices=["classification", "regression"], required=True, help="kind of the tasks that are released"
    )
    release.add_argument(
        "--min-skill",
        type=float,
        help="share of the error of a constant prediction that the best configuration must avoid; other tasks are left "
        "out (default: 0.1)",
    )
    release.add_argument(
        "--meta-features",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="meta-features of other packages, to be recorded too",
    )
    release.add_argument("--jobs", type=jobs, default=-1, help="processes for the meta-features (default: one a core)")
    release.set_defaults(run=_release)

    train = commands.add_parser("train", help="train the surrogates of a meta-dataset")
    train.add_argument("folder", type=Path, help="folder of a meta-dataset; the surrogates are written into it")
    train.add_argument(
        "--spaces",
        nargs="+",
        action="extend",
        metavar="LEARNER",
        help="learners, or `all` for all together (default: each, and all)",
    )
    train.add_argument(
        "--metrics",
        nargs="+",
        action="extend",
        metavar="METRIC",
        help="metrics to train for (default: the meta-dataset's first)",
    )
    train.add_argument("--random-state", type=int, default=0, help="seed of the training (default: 0)")
    train.add_argument(
        "--validation-share",
        type=float,
        default=0.0,
        help="share of the task families to validate on while training: the log density of their scores after 0, 5 and "
        "20 trials is printed (default: 0)",
    )
    train.add_argument(
        "--patience", type=int, default=0, help="stop after so many validations without a better one (default: never)"
    )
    train.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N, or auto (default: cpu)")
    train.add_argument(
        "--jobs", type=jobs, help="trainings that run side by side (default: one a core; one alone on a GPU)"
    )
    train.add_argument(
        "--checkpoints", type=Path, help="folder to keep unfinished trainings in: started again, they go on"
    )
    train.set_defaults(run=_train)

    recommend = commands.add_parser("recommend", help="recommend hyperparameters for a table")
    _add_data(recommend)
    recommending.add_options(recommend)
    recommend.set_defaults(run=_recommend)

    tune = commands.add_parser("tune", help="search hyperparameters for a table, starting from experience")
    _add_data(tune)
    tuning.add_options(tune)
    tune.set_defaults(run=_tune)

    evaluate = commands.add_parser("evaluate", help="measure methods on task families held out of training")
    evaluation.add_options(evaluate)

    info = commands.add_parser("info", help="what a meta-dataset holds, and what ships with the package")
    info.add_argument(
        "folder",
        nargs="?",
        help="folder or name of a meta-dataset (default: list those that ship, and what is answered from each)",
    )
    info.add_argument("--tasks", action="store_true", help="list every task as well")
    info.set_defaults(run=_info)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "table",
        help=".csv, .tsv or .txt file (also in .gz, .bz2, .xz), .parquet file, or iris, wine, breast_cancer, digits, "
        "diabetes, friedman1",
    )
    parser.add_argument("--target", help="column to be predicted (default: the last)")
    parser.add_argument(
        "--kind", choices=["classification", "regression"], help="kind of the task (default: inferred from the target)"
    )
    parser.add_argument("--sep", help="what separates columns, \\t for tabulators (default: found in the file)")
    parser.add_argument("--encoding", help="of a file of text (default: UTF-8, else Windows-1252)")
    parser.add_argument(
        "--learner",
        action="append",
        help="linear, svm, knn, random_forest, extra_trees, boosting, lightgbm, xgboost, mlp; text_linear for texts; "
        "may be repeated (default: all but mlp; tune takes the one that is recommended)",
    )
    parser.add_argument("--metric", help="scikit-learn scorer name (default: balanced_accuracy, or r2)")
    parser.add_argument("--experience", help="folder or name of a meta-dataset with surrogates (default: what ships)")


def _release(options: argparse.Namespace) -> None:
    from metahpo.building.learnability import MIN_SKILL
    from metahpo.building.publication import publish

    min_skill = MIN_SKILL if options.min_skill is None else options.min_skill
    published = publish(
        options.folder,
        options.kind,
        options.out,
        min_skill=min_skill,
        n_jobs=options.jobs,
        meta_features=options.meta_features,
    )
    print(published)


def _train(options: argparse.Namespace) -> None:
    from metahpo.surrogates.fitting.release_training import train_release
    from metahpo.surrogates.fitting.training import TrainingSettings

    settings = TrainingSettings(
        validation_share=options.validation_share, patience=options.patience, device=options.device
    )
    training = train_release(
        options.folder,
        options.spaces,
        options.metrics,
        settings,
        random_state=options.random_state,
        checkpoints=options.checkpoints,
        n_jobs=(-1 if options.device == "cpu" else 1) if options.jobs is None else options.jobs,
    )
    with warnings.catch_warnings():
        # joblib replaces a process whose memory has grown, loses nothing by it, and warns.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        for trained in training:
            for validation in trained.validations:
                print(validation)
            print(f"{trained.space}, {trained.metric}: {trained.path}", flush=True)


def _task(options: argparse.Namespace) -> Task:
    """The table that is meant; a metric that does not exist is refused before it is read."""
    from metahpo.datasets.table_file import read_table
    from metahpo.tasks.scorers import check_scorer

    check_scorer(options.metric)
    sep = options.sep and options.sep.replace("\\t", "\t")
    return read_table(options.table, options.target, kind=options.kind, sep=sep, encoding=options.encoding)


def _recommender(options: argparse.Namespace, task: Task) -> Recommender:
    from metahpo.recommendation.recommender import Recommender

    if options.experience:
        return Recommender(options.experience)
    learner = options.learner[0] if options.learner and len(options.learner) == 1 else None
    return Recommender.shipped(task.kind, task.modality, learner)


def _recommend(options: argparse.Namespace) -> None:
    recommending.asked(options)  # a mistake in the options is told before the table is read
    task = _task(options)
    recommending.run(options, task, _recommender(options, task))


def _tune(options: argparse.Namespace) -> None:
    tuning.check(options)
    task = _task(options)
    tuning.check(options, task.kind)
    tuning.run(options, task, _recommender(options, task))


def _info(options: argparse.Namespace) -> None:
    from metahpo.metadata import release
    from metahpo.metadata.datasheet import overview, provenance, reliability
    from metahpo.metadata.meta_dataset import MetaDataset

    if options.folder is None:
        from metahpo.recommendation.shipped import answered

        answers = {one.name: one for one in answered()}
        for name in release.shipped_names():
            print(f"{name}: {release.shipped_folder(name)}")
            if one := answers.get(name):
                learners = [*(["all learners together"] if one.together else []), *one.learners]
                print(f"  {one.kind} of {one.modality}s is answered from it for: {', '.join(learners)}")
            else:
                print("  is used only where it is named")
        return
    md = MetaDataset.load(options.folder)
    print(md)
    print("\n".join(f"  {name}: {text}" for name, text in overview(md).items()))
    print(f"\n{reliability(md).to_string(float_format='{:.2f}'.format)}")
    print(f"\n{provenance(md).to_string()}")
    if options.tasks:
        hidden = [c for c in map(str, md.tasks.columns) if c.startswith(("fits.", "reliability."))]
        print(
            f"\n{md.tasks.drop(columns=[*hidden, 'fingerprint', 'row_sketch', 'source'], errors='ignore').to_string()}"
        )
