"""A number of processes that means nothing is refused at once, wherever it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metahpo import MetaDataset, evaluate
from metahpo.building.assembly import assemble
from metahpo.building.engines.local import LocalEngine
from metahpo.building.publication import publish
from metahpo.cli import main
from metahpo.exceptions import DataError
from metahpo.processes import check_n_jobs
from metahpo.surrogates.fitting.release_training import train_release
from metahpo.workflows.adaptive_design import extend_plan
from metahpo.workflows.demonstration import demonstrate
from metahpo.workflows.redescription import describe_again, sketch_again


@pytest.mark.parametrize("n_jobs", [0, True, 1.5, "two"])
def test_check_n_jobs__refuses_what_is_no_number_of_processes(n_jobs: object) -> None:
    with pytest.raises(DataError, match="n_jobs must be a number of processes, -1 for one a core, or None, but is"):
        check_n_jobs(n_jobs)


@pytest.mark.parametrize("n_jobs", [None, 1, 8, -1, -2])
def test_check_n_jobs__accepts_what_joblib_does(n_jobs: int | None) -> None:
    check_n_jobs(n_jobs)


@pytest.mark.parametrize(
    "call",
    [
        lambda md, folder: evaluate(md, ["random_search"], n_jobs=0),
        lambda md, folder: describe_again(md, folder, 0),
        lambda md, folder: sketch_again(md, folder, 0),
        lambda md, folder: assemble(folder, "classification", name="mine", n_jobs=0),
        lambda md, folder: publish(folder, "classification", folder / "mine", n_jobs=0),
        lambda md, folder: extend_plan(folder, 4, n_jobs=0),
        lambda md, folder: next(train_release(folder, n_jobs=0)),
        lambda md, folder: demonstrate([], n_jobs=0),
        lambda md, folder: LocalEngine(0),
    ],
)
def test_n_jobs__is_checked_first(call: Callable[[MetaDataset, Path], Any], toy: MetaDataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="n_jobs must be"):
        call(toy, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "images"],
        ["evaluate", "images"],
        ["recommend", "iris"],
        ["tune", "iris"],
        ["release", "runs", "mine", "--kind", "regression"],
        ["build", "run", "runs"],
    ],
)
@pytest.mark.parametrize("jobs", ["0", "many"])
def test_command_line__refuses_jobs(arguments: list[str], jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--jobs", jobs])
    assert f"argument --jobs: give a number of processes, or -1 for one a core, not '{jobs}'" in capsys.readouterr().err
