"""`metahpo build VERB`: a build, from its datasets to a compacted store, and what helps when it does not go well."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metahpo.building.engines.options import add_engine_arguments, positive
from metahpo.building.shard import WHOLE, Shard
from metahpo.cli.command_parser import CommandParser
from metahpo.exceptions import DataError, MetaHPOError, StoreError

if TYPE_CHECKING:
    from metahpo.building.plan import Plan
    from metahpo.trials.store import TrialStore

VERBS = ("plan", "run", "status", "retry", "compact", "merge", "verify", "prefetch", "export", "import")
#: Builds with more tasks show their table of tasks only when it is asked for.
SHORT_TABLE = 30


def with_verb(arguments: Sequence[str]) -> list[str]:
    """`build FOLDER ...` means `build run FOLDER ...`; a folder named like a verb is written ./plan."""
    arguments = list(arguments)
    if arguments[:1] == ["build"] and len(arguments) > 1 and arguments[1] not in (*VERBS, "-h", "--help"):
        arguments.insert(1, "run")
    return arguments


def add_verbs(verbs: argparse._SubParsersAction[CommandParser]) -> None:
    """Define the verbs of `metahpo build`."""

    def verb(name: str, run: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        parser = verbs.add_parser(name, help=help)
        parser.add_argument("folder", type=Path, help="folder of the build: plan and trial store")
        parser.set_defaults(run=run)
        return parser

    plan = verb("plan", _plan, "what `run` would do: trials pending, hours expected; changes nothing")
    _add_design(plan)
    plan.add_argument(
        "--recorded",
        action="store_true",
        help="plan the datasets and repeats that imported or merged trials are of, and write the plan: `release` then "
        "takes what is complete, and nothing more is run",
    )

    run = verb("run", _run, "run the pending trials; killed or interrupted and started again, it goes on")
    _add_design(run)
    run.add_argument("--seconds", type=float, default=60.0, help="limit of one trial (default: 60)")
    run.add_argument("--memory-gb", type=float, default=4.0, help="limit of one trial, libraries included (default: 4)")
    run.add_argument(
        "--adaptive",
        type=positive,
        default=0,
        metavar="K",
        help="then K more configurations a learner and task, chosen by surrogates of the other tasks",
    )
    run.add_argument(
        "--wave",
        type=int,
        metavar="N",
        help="measure N tasks until their ranks are reliable before the next N begin (default: all at once)",
    )
    add_engine_arguments(run)

    add_status(
        verbs.add_parser("status", help="what is done, what is pending, why trials failed, how long it will take")
    )

    retry = verb("retry", _retry, "make failed trials pending again; the next `run` runs them")
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("--failed", action="store_true", help="all failed trials")
    which.add_argument(
        "--status",
        nargs="+",
        action="extend",
        metavar="STATUS",
        default=[],
        help="those that ended as timeout, out_of_memory, crashed, diverged or invalid",
    )

    verb("compact", _compact, "move finished logs into Parquet; a running build need not stop for it")
    merge = verb("merge", _merge, "bring the trials of another build into this one")
    merge.add_argument("other", type=Path, help="folder of the other build; it is not changed")
    verify = verb("verify", _verify, "check records, duplicates and datasets; status 1 where something is wrong")
    verify.add_argument(
        "--repair", action="store_true", help="first set damaged records aside; their trials are pending again"
    )
    export = verb("export", _export, "write new trials to a compact part, to be kept in version control")
    export.add_argument("parts", type=Path, help="folder of the parts; created where it does not exist")
    bring = verb("import", _import, "bring in the trials of compact parts that the build lacks")
    bring.add_argument("parts", type=Path, help="folder of the parts")
    add_prefetch(verbs.add_parser("prefetch", help="fetch datasets from OpenML; started again, it goes on"))


def add_status(parser: argparse.ArgumentParser) -> None:
    """Define `status`."""
    parser.add_argument("folder", type=Path, help="folder of the build")
    parser.add_argument("--tasks", action="store_true", help="show every task, however many there are")
    parser.add_argument(
        "--live",
        nargs="?",
        type=float,
        const=5.0,
        metavar="SECONDS",
        help="print again every SECONDS, until no trials are pending (default of SECONDS: 5)",
    )
    parser.set_defaults(run=_status)


def add_prefetch(parser: argparse.ArgumentParser) -> None:
    """Define `prefetch`."""
    parser.add_argument("--cache", type=Path, required=True, help="dataset cache to fill")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--suite", help="name or id of a benchmark suite, such as OpenML-CC18")
    wanted.add_argument(
        "--data-ids",
        nargs="+",
        action="extend",
        type=int,
        default=[],
        metavar="ID",
        help="datasets, by their OpenML ids",
    )
    wanted.add_argument(
        "--task-ids",
        nargs="+",
        action="extend",
        type=int,
        default=[],
        metavar="ID",
        help="datasets of these OpenML tasks",
    )
    parser.add_argument("--server", help="URL of the XML API (default: that of the OpenML client)")
    parser.set_defaults(run=_prefetch)


def _add_design(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache",
        type=Path,
        help="dataset cache: KEY.parquet and KEY.json files (default: go on with the plan there is)",
    )
    parser.add_argument(
        "--tasks",
        nargs="+",
        action="extend",
        metavar="KEY",
        help="datasets by key (default: all of the cache that fit)",
    )
    parser.add_argument(
        "--modality",
        choices=("table", "image", "text"),
        default="table",
        help="which datasets to take where no --tasks are given (default: table)",
    )
    parser.add_argument(
        "--learners",
        nargs="+",
        action="extend",
        metavar="LEARNER",
        help="learners to tune, also mlp, or one of your own as module:function (default: for tables linear svm knn "
        "random_forest extra_trees boosting, and where they are installed lightgbm xgboost; for images convnet; for "
        "texts text_linear text)",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        action="extend",
        default=[],
        metavar="METRIC",
        help="metrics of other packages, to be recorded too: by name, or as module:attribute",
    )
    parser.add_argument(
        "--configurations",
        type=int,
        default=32,
        help="configurations for each learner and task; the first is the library's default (default: 32)",
    )
    parser.add_argument(
        "--near-default",
        type=int,
        default=0,
        metavar="K",
        help="K more of them near the library's default; useful where few trials can be paid for (default: 0)",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        action="extend",
        type=int,
        metavar="ROWS",
        help="rows to train on; a dataset makes a task of each size that it has (default: 300 1200 5000 20000)",
    )
    parser.add_argument(
        "--folds", type=int, default=4, help="folds where too few rows are left over to test on (default: 4)"
    )
    parser.add_argument("--max-fits", type=int, default=12, help="fits of a configuration on a task (default: 12)")
    parser.add_argument("--exclude-families", nargs="*", action="extend", default=[], help="task families to hold out")


def _planned(options: argparse.Namespace, recorded: Sequence[str] = ()) -> Plan:
    """The plan that the options describe; of the datasets `recorded`, where they name none."""
    from metahpo.building.plan import PLAN_FILE, Plan
    from metahpo.building.planning import make_plan
    from metahpo.building.protocol import SIZES, Protocol

    if options.cache is None:
        return Plan.load(options.folder / PLAN_FILE)
    return make_plan(
        options.cache,
        keys=options.tasks or recorded or None,
        modality=options.modality,
        learners=options.learners,
        n_configurations=options.configurations,
        n_near_default=options.near_default,
        protocol=Protocol(n_folds=options.folds, max_fits=options.max_fits, metrics=options.metrics),
        sizes=options.sizes or SIZES,
        exclude_families=options.exclude_families,
    )


def _plan(options: argparse.Namespace) -> None:
    from metahpo.building.status import status_of
    from metahpo.trials.store import TrialStore
    from metahpo.workflows.build_estimate import estimate

    store = TrialStore(options.folder, create=False)
    plan = _recorded_plan(options, store) if options.recorded else _planned(options)
    state = status_of(plan, store)
    print(f"{len(plan.tasks)} tasks, {len(plan.learners)} learners, protocol {plan.protocol.name}")
    print(state)
    if state.work_hours != state.work_hours:  # nothing is recorded to judge by
        print(estimate(plan))


def _recorded_plan(options: argparse.Namespace, store: TrialStore) -> Plan:
    """Write and return the plan of what the folder holds trials of."""
    from metahpo.building.plan import PLAN_FILE
    from metahpo.building.repetition import with_recorded_repeats

    if options.cache is None:
        raise DataError("--recorded makes a plan anew, and needs --cache, the folder of the datasets.")
    if (options.folder / PLAN_FILE).exists():
        raise DataError(
            f"the build in {str(options.folder)!r} has a plan, and --recorded would replace it: it is for a folder "
            "that trials were imported or merged into. Leave it out, or import the trials into another folder."
        )
    recorded = sorted({trial.key.task.split("@")[0] for trial in store})
    if not recorded:
        raise StoreError(f"{str(options.folder)!r} holds no trials: bring some in with `metahpo build import`.")
    plan = with_recorded_repeats(_planned(options, recorded), options.folder)
    plan.save(options.folder / PLAN_FILE)
    return plan


def _run(options: argparse.Namespace) -> None:
    from metahpo.building.builder import run_plan
    from metahpo.building.engines.options import engine_from, shard_from
    from metahpo.building.folder import check_folder
    from metahpo.building.repetition import run_until_reliable
    from metahpo.building.status import status
    from metahpo.building.trial_process import Limits

    limits = Limits(options.seconds, int(options.memory_gb * 2**30))
    engine, shard = engine_from(options), shard_from(options)
    if options.adaptive and shard != WHOLE:
        raise DataError("an adaptive design needs all trials of a task: leave out --shard, or --adaptive.")

    def run(plan: Plan) -> None:
        run_plan(
            plan, options.folder, engine=engine, limits=limits, shard=shard, workers_per_gpu=options.workers_per_gpu
        )

    check_folder(options.folder)
    plan = _planned(options)
    if options.adaptive:
        _check_families(plan)
    with _safe_path():
        if shard == WHOLE:
            run_until_reliable(plan, options.folder, run, options.wave)
        else:  # the ranks of a task need all of its trials
            run(plan)
        if options.adaptive:
            from metahpo.workflows.adaptive_design import extend_plan

            run(extend_plan(options.folder, options.adaptive, n_jobs=options.jobs))
    print(status(options.folder, reliability=True))
    _check_nothing_pending(options.folder, shard)


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Let no worker import what lies in the working directory, such as a ``random.py``; the command does not either."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _check_families(plan: Plan) -> None:
    """An adaptive design begins when all else is done: what it needs is asked for before."""
    from metahpo.datasets.cache import read_sidecar

    families: dict[str, set[str]] = {}
    for task in plan.tasks:
        family = read_sidecar(plan.cache, task.dataset).get("family") or task.dataset
        families.setdefault(task.kind, set()).add(str(family))
    if max(map(len, families.values())) < 2:
        raise DataError(
            "an adaptive design learns from tasks of other families, and the plan has none of two families and one "
            "kind: add datasets, or leave out --adaptive."
        )


def _check_nothing_pending(folder: Path, shard: Shard) -> None:
    """The exit status tells whether the build is whole."""
    from metahpo.building.plan import PLAN_FILE, Plan
    from metahpo.trials.store import TrialStore

    store = TrialStore(folder)
    pending_tasks = Counter(key.task for key in Plan.load(folder / PLAN_FILE).pending(store.identities(), shard))
    if not pending_tasks:
        return
    refused = [task for task in store.refusals() if task in pending_tasks]
    why = f" Tasks that cannot be measured: {', '.join(refused)}; mend their datasets in the cache." if refused else ""
    raise MetaHPOError(
        f"the build is not whole, {pending_tasks.total()} trials are pending.{why} "
        "The same command again runs the pending trials."
    )


def _status(options: argparse.Namespace) -> None:
    from metahpo.building.status import status

    while True:
        state = status(options.folder, reliability=options.live is None)
        parts = [str(state)]
        if options.tasks or len(state.by_task) <= SHORT_TABLE:
            parts.insert(0, state.by_task.to_string() + "\n")
        # In a terminal the new picture takes the place of the old one.
        clear = "\x1b[H\x1b[2J" if options.live and sys.stdout.isatty() else ""
        print(clear + "\n".join(parts), flush=True)
        if options.live is None or not state.pending:
            return
        time.sleep(options.live)


def _retry(options: argparse.Namespace) -> None:
    from metahpo.exceptions import UnknownNameError
    from metahpo.trials.trial import TrialStatus

    failures = [str(s) for s in TrialStatus if s is not TrialStatus.SUCCESS]
    for name in options.status:
        if name not in failures:
            raise UnknownNameError("status of a failed trial", name, failures)
    n = _store(options.folder).retry([TrialStatus(name) for name in options.status or failures])
    print(f"{n} failed trials are pending again; run them with `metahpo build run {options.folder}`")


def _compact(options: argparse.Namespace) -> None:
    from metahpo.trials.compaction import compact

    _store(options.folder)
    print(compact(options.folder))


def _merge(options: argparse.Namespace) -> None:
    print(f"{_store(options.folder).merge(_store(options.other))} trials came in from {options.other}")


def _export(options: argparse.Namespace) -> None:
    from metahpo.trials.exchange import export_part

    print(f"{export_part(_store(options.folder).folder, options.parts)} trials were written to {options.parts}")


def _import(options: argparse.Namespace) -> None:
    from metahpo.trials.exchange import import_parts

    if not options.parts.is_dir():
        raise StoreError(f"{str(options.parts)!r} is not a folder; name the folder of the parts.")
    print(f"{import_parts(options.parts, options.folder)} trials came in from {options.parts}")


def _verify(options: argparse.Namespace) -> None:
    from metahpo.building.build_verification import verify
    from metahpo.trials.store_verification import repair_store

    folder = _store(options.folder).folder
    if options.repair:
        print(repair_store(folder))
    problems = verify(folder)
    if problems:
        raise StoreError("\n".join([f"{len(problems)} things are wrong with {str(options.folder)!r}:", *problems]))
    print("nothing is wrong")


def _prefetch(options: argparse.Namespace) -> None:
    from metahpo.datasets.prefetch import prefetch

    unusable = []
    for fetched in prefetch(
        options.cache,
        suite=options.suite,
        data_ids=options.data_ids,
        task_ids=options.task_ids,
        server=options.server,
    ):
        print(fetched, flush=True)
        if fetched.outcome.startswith("not usable"):
            unusable.append(str(fetched.wanted))
    if unusable:
        raise DataError(f"{len(unusable)} cannot be used, the lines above say why: {', '.join(unusable)}.")


def _store(folder: Path) -> TrialStore:
    """The store of a folder that is there: a mistyped name must not make an empty one."""
    from metahpo.building.folder import check_folder
    from metahpo.trials.store import TrialStore

    if not folder.is_dir():
        raise StoreError(f"{str(folder)!r} is not a folder; name the folder of a build.")
    check_folder(folder)
    return TrialStore(folder)
