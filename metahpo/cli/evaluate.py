"""`metahpo evaluate`: methods on task families held out of training, and two reports against each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from metahpo.exceptions import DataError
from metahpo.processes import jobs

if TYPE_CHECKING:
    from metahpo.evaluation.baselines.baseline import Method
    from metahpo.evaluation.settings import EvaluationSettings
    from metahpo.metadata.meta_dataset import MetaDataset

#: Instead of a folder: two reports follow, which are compared.
COMPARE = "compare"
#: Options that say how to measure, which a comparison does not.
ONLY_EVALUATE = (
    "methods", "spaces", "metric", "trials", "folds", "honest", "no_default_first", "parts", "keep", "quick", "dry_run",
    "tensorboard",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "folder",
        nargs="+",
        help="folder or name of a meta-dataset, or an HPO-B file (.json, .json.gz); or `compare A B`, two reports that "
        "were saved with --report, as .html or .json",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        action="extend",
        help="separated by spaces or commas: metahpo, portfolio, gaussian_process, random_search (these by default), "
        "default, recommended, constant, nearest_tasks, rgpe, two_stage_transfer, fsbo, deep_ranking_ensemble, "
        "random_forest, botorch; or one of another package, by its name or as module:attribute",
    )
    parser.add_argument(
        "--spaces",
        nargs="+",
        action="extend",
        metavar="LEARNER",
        help="learners, or `all` for all together (default: each learner)",
    )
    parser.add_argument("--metric", help="recorded metric (default: the meta-dataset's first)")
    parser.add_argument("--trials", type=int, help="trials of each search (default: 25)")
    parser.add_argument("--folds", type=_folds, help="folds of task families, or `family`, one a family (default: 5)")
    parser.add_argument("--seeds", type=int, default=1, help="how often each method learns and searches (default: 1)")
    parser.add_argument(
        "--honest", action="store_true", help="choose by one half of a task's fits and judge by the other half"
    )
    parser.add_argument(
        "--no-default-first",
        action="store_true",
        help="let methods choose their first trial (otherwise it is the library's default for every method)",
    )
    parser.add_argument(
        "--parts", action="store_true", help="measure what each part is worth: also the recommender without this part"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep finished searches in this folder; started again, the same command goes on",
    )
    parser.add_argument("--quick", action="store_true", help="a rough look in a minute, on some tasks of one learner")
    parser.add_argument("--dry-run", action="store_true", help="say what it would cost, and stop")
    parser.add_argument("--jobs", type=jobs, default=-1, help="processes (default: one a core)")
    parser.add_argument("--random-state", type=int, default=0, help="seed of folds, learning and searches (default: 0)")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="PAGE.html",
        help="write an HTML report here, and its numbers beside it (extra `report`)",
    )
    parser.add_argument(
        "--tensorboard", type=Path, metavar="FOLDER", help="write the curves for TensorBoard into this folder"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Evaluate, or compare two reports.

    Raises
    ------
    DataError
        Other than one folder, or other than two reports to compare; an option that a comparison does not use.
    """
    if options.folder[0] == COMPARE:
        _compare(options)
    elif len(options.folder) > 1:
        raise DataError(f"one meta-dataset is evaluated at a time, but {options.folder} were given.")
    else:
        _evaluate(options)


def _folds(text: str) -> int | str:
    return text if text == "family" else int(text)


def _evaluate(options: argparse.Namespace) -> None:
    import time

    from metahpo.evaluation.evaluation_plan import make_plan
    from metahpo.evaluation.quick import quick_look
    from metahpo.evaluation.result import check_report
    from metahpo.evaluation.result_assembly import assemble
    from metahpo.metadata.meta_dataset import MetaDataset

    if options.report:
        check_report(options.report)
    if options.tensorboard:
        from metahpo.integrations.tensorboard import write_report
    started = time.perf_counter()
    md = MetaDataset.load(options.folder[0])
    methods, settings = _methods(options, md), _settings(options)
    if options.quick:
        quick = quick_look(md, methods, settings)
        md, methods, settings = quick.md, quick.methods, quick.settings
    plan = make_plan(md, methods, settings, n_jobs=options.jobs, folder=options.keep)
    print(plan.cost(), flush=True)
    if options.dry_run:
        return
    report = assemble(plan, plan.run(), time.perf_counter() - started)
    print(report)
    if options.report:
        report.save(options.report)
        print(f"report: {options.report}")
    if options.tensorboard:
        write_report(report, options.tensorboard)


def _methods(options: argparse.Namespace, md: MetaDataset) -> Sequence[str | Method] | None:
    """Those that were named, behind the recommender with and without its parts where these are asked for."""
    named = options.methods and [name for part in options.methods for name in part.split(",") if name]
    if not options.parts:
        return cast("list[str] | None", named)
    from metahpo.evaluation.ablation import part_methods

    parts = part_methods(md)
    known = {method.name for method in parts}
    return [*parts, *(name for name in named or () if name not in known)]


def _settings(options: argparse.Namespace) -> EvaluationSettings:
    """The settings that the options say."""
    from metahpo.evaluation.quick import QUICK_PROTOCOL
    from metahpo.evaluation.settings import EvaluationSettings

    settings = QUICK_PROTOCOL if options.quick else EvaluationSettings(n_trials=25)
    settings = settings.but(
        n_seeds=options.seeds,
        random_state=options.random_state,
        metric=options.metric,
        spaces=options.spaces and [None if space == "all" else space for space in options.spaces],
        default_first=not options.no_default_first,
        honest=options.honest,
        understand=options.report is not None,
    )
    settings = settings if options.trials is None else settings.but(n_trials=options.trials)
    return settings if options.folds is None else settings.but(n_folds=options.folds)


def _compare(options: argparse.Namespace) -> None:
    from metahpo.evaluation.report_comparison import compare_reports
    from metahpo.reports.page import check_page

    if unused := [name for name in ONLY_EVALUATE if getattr(options, name)]:
        raise DataError(
            f"`metahpo evaluate compare A B` reads two reports and measures nothing, so that "
            f"--{unused[0].replace('_', '-')} has no effect: leave it out."
        )
    if len(options.folder) != 3:
        raise DataError(
            "`metahpo evaluate compare A B` takes two reports, but got "
            f"{len(options.folder) - 1}; `metahpo evaluate --report` writes them."
        )
    if options.report:
        check_page(options.report)
    compared = compare_reports(*options.folder[1:])
    print(compared)
    if options.report:
        compared.save(options.report)
        print(f"report: {options.report}")
