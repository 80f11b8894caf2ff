"""Verification of a build: its store, its plan, and the datasets of the plan."""

from __future__ import annotations

from pathlib import Path

from metahpo.building.plan import PLAN_FILE, Plan
from metahpo.datasets import cache
from metahpo.exceptions import MetaHPOError
from metahpo.trials.store_verification import verify_store


def verify(folder: Path | str) -> list[str]:
    """Faults of a build, each with a remedy; empty if there are none.

    Reads every record (see :func:`metahpo.trials.store_verification.verify_store`), and every file of the plan's
    datasets.
    """
    folder = Path(folder)
    problems = []
    try:
        plan = Plan.load(folder / PLAN_FILE)
    except MetaHPOError as error:
        return [str(error), *verify_store(folder)]
    for dataset in dict.fromkeys(task.dataset for task in plan.tasks):
        try:
            cache.verify(plan.cache, dataset)
        except MetaHPOError as error:
            problems.append(f"dataset {dataset}: {error}")
    return problems + verify_store(folder)
