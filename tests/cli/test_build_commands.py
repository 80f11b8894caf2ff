"""`metahpo build VERB`, as a user types it, on good days and bad ones."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from metahpo.building.plan import PLAN_FILE, Plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.cli import main
from metahpo.datasets.cache_status import Fetched, Wanted
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus

pytestmark = pytest.mark.usefixtures("workers_of_the_tests")


@pytest.fixture
def design(small_cache: Path) -> list[str]:
    """Options of a build of two tasks and one learner, eight trials in all."""
    tasks = ["--tasks", "s0", "s1", "--learners", "linear", "--configurations", "4", "--folds", "2", "--max-fits", "2"]
    return ["--cache", str(small_cache), *tasks]


def out(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_flow__plan_run_status_retry_compact_merge_verify(
    design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "build")
    assert main(["build", "plan", folder, *design]) == 0
    printed = out(capsys)
    assert "2 tasks, 1 learners, protocol v2-cv2-holdout2x5000" in printed
    assert "nothing is recorded yet" in printed
    assert not (tmp_path / "build").exists()

    assert main(["build", "run", folder, *design, "--jobs", "1"]) == 0
    assert "no trials are pending" in out(capsys)
    assert main(["build", "status", folder]) == 0
    assert "4/4" in out(capsys)
    larger = [*design[:-6], "--configurations", "6", "--folds", "2", "--max-fits", "2"]
    assert main(["build", "plan", folder, *larger]) == 0
    printed = out(capsys)
    assert "work for one worker: 0 minutes" in printed
    assert "trials an hour" in printed

    failed = next(iter(TrialStore(folder))).key
    plan = Plan.load(Path(folder) / PLAN_FILE)
    for log in Path(folder).glob("*.jsonl"):  # one trial failed, it is pretended
        lines = [line for line in log.read_text().splitlines() if failed.identity not in line]
        log.write_text("".join(f"{line}\n" for line in lines))
    TrialStore(folder).append([Trial(failed, TrialStatus.TIMEOUT, message="stopped after 1 s")])
    assert main(["status", folder]) == 0
    assert "timeout" in out(capsys)
    assert main(["build", "retry", folder, "--status", "crashed"]) == 0
    assert "0 failed trials" in out(capsys)
    assert main(["build", "retry", folder, "--failed"]) == 0
    assert "1 failed trials are pending again; run them with `metahpo build run" in out(capsys)
    assert main(["build", "run", folder, "--jobs", "1"]) == 0  # the plan is there
    assert "no trials are pending" in out(capsys)
    assert {t.key.identity: t.attempt for t in TrialStore(folder)}[failed.identity] == 2
    assert Plan.load(Path(folder) / PLAN_FILE) == plan

    assert main(["build", "compact", folder]) == 0
    assert "records of" in out(capsys)
    assert main(["build", "merge", str(tmp_path / "build2"), folder]) == 1
    (tmp_path / "build2").mkdir()
    for number in (8, 0):
        assert main(["build", "merge", str(tmp_path / "build2"), folder]) == 0
        assert f"{number} trials came in from {folder}" in out(capsys)
    assert main(["build", "verify", folder]) == 0
    assert "nothing is wrong" in out(capsys)


def test_verify__damage_is_status_1_until_it_is_set_aside(
    design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "build"
    assert main(["build", "run", str(folder), *design, "--jobs", "1"]) == 0
    (folder / "trials-x.jsonl").write_text("garbage\n")
    assert main(["build", "verify", str(folder)]) == 1
    printed = capsys.readouterr().err
    assert "1 things are wrong with" in printed
    assert "trials-x.jsonl' holds 1 damaged records" in printed
    assert main(["build", "verify", str(folder), "--repair"]) == 0
    printed = capsys.readouterr().out
    assert f"what was damaged is in '{folder}/damaged/trials-x.jsonl.lines' now" in printed
    assert printed.endswith("nothing is wrong\n")


@pytest.mark.parametrize("verb", [["status"], ["retry", "--failed"], ["compact"], ["verify"], ["run"]])
def test_a_mistyped_folder_is_an_error_and_is_not_made(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", verb[0], str(tmp_path / "nowhere"), *verb[1:]]) == 1
    assert "nowhere' is not" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [["run"], ["retry", "--failed"], ["compact"], ["verify"]])
def test_a_folder_of_other_files_is_refused_and_left_alone(
    verb: list[str], design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    options = design if verb == ["run"] else verb[1:]
    assert main(["build", verb[0], str(tmp_path), *options]) == 1
    assert "is not the folder of a build: it holds 'thesis.txt'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_run__a_build_that_is_not_whole_is_status_1(
    design: list[str], small_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(small_cache, cache)
    (cache / "s0.parquet").write_bytes(b"damaged")
    design[1] = str(cache)
    assert main(["build", "run", str(tmp_path / "build"), *design, "--jobs", "1"]) == 1
    printed = capsys.readouterr()
    assert "task s0 cannot be measured" in printed.out
    assert "the build is not whole, 4 trials are pending. Tasks that cannot be measured: s0" in printed.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jobs", "0"], "give a number of processes"),
        (["--workers-per-gpu", "0"], "invalid positive"),
        (["--adaptive", "-1"], "invalid"),
    ],
)
def test_run__options_without_sense_are_refused(
    options: list[str], said: str, design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["build", "run", str(tmp_path / "build"), *design, *options])
    assert said in capsys.readouterr().err


def test_run__what_would_fail_at_the_end_is_refused_at_the_start(
    design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    design[design.index("s1")] = "s4"  # one task of each kind
    for options, said in (
        (["--adaptive", "2"], "two families"),
        (["--seconds", "0"], "limits of a trial are positive"),
    ):
        assert main(["build", "run", str(tmp_path / "build"), *design, *options]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_prefetch__a_dataset_that_cannot_be_used_is_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = ["not usable: it is sparse", "cached"]
    fetched = [Fetched(Wanted("dataset", 31 + i), None, outcome, i + 1, 2) for i, outcome in enumerate(outcomes)]
    monkeypatch.setattr("metahpo.datasets.prefetch.prefetch", lambda *args, **options: iter(fetched))
    assert main(["prefetch", "--cache", str(tmp_path), "--data-ids", "31", "32"]) == 1
    printed = capsys.readouterr()
    assert "[2/2] dataset 32: cached" in printed.out
    assert "1 cannot be used, the lines above say why: dataset 31" in printed.err


def test_retry__an_unknown_status_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "retry", str(tmp_path), "--status", "late"]) == 1
    assert "known are: timeout, out_of_memory, crashed" in capsys.readouterr().err


def test_run__is_followed_live_and_no_module_in_the_working_directory_shadows_the_standard_library(
    design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("random", "tempfile", "numbers"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('this is not the standard library')")
    script = "from metahpo.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-P", "-c", script, "build", "build", *design, "--jobs", "1"]  # no verb: run
    build = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not (tmp_path / "build" / PLAN_FILE).exists():
            assert build.poll() is None, build.communicate()
            time.sleep(0.05)
        assert main(["build", "status", str(tmp_path / "build"), "--live", "0.2"]) == 0
        told, said = build.communicate(timeout=120)
    finally:
        build.kill()
        build.wait()
    assert (build.returncode, "no trials are pending" in told) == (0, True), said
    printed = out(capsys)
    assert printed.count("planned") > 1
    assert "no trials are pending" in printed


def small_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_full_disk_ends_the_build_with_an_error_and_it_goes_on_later(
    design: list[str], tmp_path: Path, jobs: str
) -> None:
    folder = tmp_path / "build"
    command = [sys.executable, "-m", "metahpo.cli", "build", "run", str(folder), *design]
    command[command.index("--configurations") + 1] = "12"
    # No file of this process and its children may grow beyond 4000 bytes, as if there were no more room.
    full = subprocess.run(
        [*command, "--jobs", jobs], preexec_fn=small_disk, capture_output=True, text=True, timeout=120, check=False
    )
    assert full.returncode == 1
    assert "trials cannot be appended to" in full.stderr
    assert "make room" in full.stderr
    kept = {t.key.identity for t in TrialStore(folder)}
    assert 0 < len(kept) < 24
    assert main([*command[3:], "--jobs", "1"]) == 0
    assert kept < TrialStore(folder).identities()
    assert len(TrialStore(folder).identities()) == 24
    assert sum(p.read_bytes().count(b"\n") for p in folder.glob("*.jsonl")) == 24


def test_a_folder_that_is_taken_away_ends_the_build_with_an_error(design: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "build"
    command = [sys.executable, "-m", "metahpo.cli", "build", "run", str(folder), *design]
    command[command.index("--configurations") + 1] = "200"
    build = subprocess.Popen([*command, "--jobs", "1"], stderr=subprocess.PIPE, text=True)
    try:
        while not list(folder.glob("trials-*.jsonl")):
            assert build.poll() is None
            time.sleep(0.02)
        folder.rename(tmp_path / "elsewhere")
        _, said = build.communicate(timeout=60)
    finally:
        build.kill()
        build.wait()
    assert build.returncode == 1
    assert "trials cannot be" in said  # appended to, or marked, whichever comes first
    assert "mend the folder" in said
    kept = {t.key.identity for t in TrialStore(tmp_path / "elsewhere")}
    assert 0 < len(kept) < 400
    assert main(["build", "verify", str(tmp_path / "elsewhere")]) == 0


def test_plan__of_imported_trials_has_their_repeats_and_nothing_pending(
    design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, *learners = design[1], *design[5:]
    protocol = Protocol(n_folds=2, max_fits=2)
    once = make_plan(cache, keys=["s0", "s1"], learners=["linear"], n_configurations=4, protocol=protocol)
    keys = {task.key: list(once.trials([task])) for task in once.tasks}
    twice, not_quite = keys
    measured = [*keys[twice], *keys[not_quite]]
    again = [replace(key, seed=1) for key in (*keys[twice], *keys[not_quite][:-1])]
    never = keys[twice][2]  # failed, so that it was not repeated
    trials = [
        Trial(key, TrialStatus.SUCCESS, {"balanced_accuracy": [0.1, 0.2]}, [0.1] * 2, [0.1] * 2)
        for key in (*measured, *again)
        if key.configuration != never.configuration or key.task != twice
    ]
    TrialStore(tmp_path / "first").append([*trials, Trial(never, TrialStatus.TIMEOUT, message="stopped after 1 s")])
    assert main(["build", "export", str(tmp_path / "first"), str(tmp_path / "parts")]) == 0
    assert main(["build", "import", str(tmp_path / "third"), str(tmp_path / "parts")]) == 0
    capsys.readouterr()

    assert main(["build", "plan", str(tmp_path / "third"), "--cache", cache, *learners, "--recorded"]) == 0
    assert "2 tasks, 1 learners" in out(capsys)
    plan = Plan.load(tmp_path / "third" / PLAN_FILE)
    assert plan.repeats == {twice: {"linear": 2}}
    assert plan.not_repeated == {twice: {"linear": [2]}}
    recorded = TrialStore(tmp_path / "third").identities()
    assert list(plan.pending(recorded)) == []
    assert all(plan.complete_learners(recorded, task) == ("linear",) for task in plan.tasks)


def test_plan__of_recorded_trials_says_what_it_needs(
    design: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "plan", str(tmp_path), "--recorded"]) == 1
    assert "needs --cache" in capsys.readouterr().err
    assert main(["build", "plan", str(tmp_path), *design[:2], "--recorded"]) == 1
    assert "holds no trials: bring some in with `metahpo build import`" in capsys.readouterr().err
    assert main(["build", "run", str(tmp_path / "build"), *design, "--jobs", "1"]) == 0
    before = (tmp_path / "build" / PLAN_FILE).read_bytes()
    capsys.readouterr()
    assert main(["build", "plan", str(tmp_path / "build"), *design, "--recorded"]) == 1
    assert "has a plan, and --recorded would replace it" in capsys.readouterr().err
    assert (tmp_path / "build" / PLAN_FILE).read_bytes() == before
