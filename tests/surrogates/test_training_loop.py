"""The course of a training: validated, stopped early, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metahpo.cli import main
from metahpo.exceptions import ArtefactError, DataError, StoreError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.fitting.training import TrainingSettings, train_on_tables
from metahpo.surrogates.fitting.training_loop import TrainingLoop
from metahpo.surrogates.fitting.validation import HeldOut, set_aside
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from tests.surrogates.recorded_world import world

SETTINGS = TrainingSettings(n_reference=30, kernel_steps=45, component_steps=25, batch_trials=12)
VALIDATED = replace(SETTINGS, validation_share=0.25)
PATIENT = replace(VALIDATED, validation_steps=2, patience=2, kernel_rate=2.0, component_rate=2.0)

#: Trains in a child for each line of its input, which kills itself before a step of a stage, and tells how it ended.
KILLED = """
import json, os, signal, sys, traceback
from metahpo.surrogates.fitting.training_loop import TrainingLoop
from tests.surrogates import test_training_loop

class Doomed(TrainingLoop):
    def steps(self, stage, *rest):
        for step in super().steps(stage, *rest):
            if (stage, step) == (last_stage, last_step):
                os.kill(os.getpid(), signal.SIGKILL)
            yield step

for line in sys.stdin:
    checkpoint, last_stage, last_step, settings = json.loads(line)
    if (child := os.fork()) == 0:
        try:
            test_training_loop.train(getattr(test_training_loop, settings), Doomed(checkpoint))
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def train(settings: TrainingSettings, training_loop: TrainingLoop | None = None) -> MetaLearnedSurrogate:
    return train_on_tables(world(8), settings=settings, random_state=5, training_loop=training_loop)


@pytest.fixture(scope="module")
def undisturbed() -> MetaLearnedSurrogate:
    """What `SETTINGS` give."""
    return train(SETTINGS)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Content of the checkpoint of a finished training with `SETTINGS`."""
    path = tmp_path_factory.mktemp("finished") / "checkpoint"
    train(SETTINGS, TrainingLoop(path))
    return path.read_bytes()


def assert_equal(one: MetaLearnedSurrogate, other: MetaLearnedSurrogate) -> None:
    """To the bit."""
    for a, b in ((one.kernel, other.kernel), (one.components, other.components)):
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert torch.equal(x, y)
    assert torch.equal(one.weights, other.weights)
    assert one.calibration == other.calibration


@pytest.fixture(scope="module")
def doomed() -> Iterator[subprocess.Popen[str]]:
    """A process that takes seconds to import what trains, for all trainings that are killed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], env=environment, stdin=pipe, stdout=pipe, text=True
    ) as process:
        yield process
        process.kill()


def kill_at(doomed: subprocess.Popen[str], checkpoint: Path, stage: str, step: int, settings: str) -> None:
    assert doomed.stdin is not None
    assert doomed.stdout is not None
    doomed.stdin.write(json.dumps([str(checkpoint), stage, step, settings]) + "\n")
    doomed.stdin.flush()
    assert doomed.stdout.readline() == f"{-signal.SIGKILL}\n"


@pytest.mark.parametrize(
    ("settings", "deaths"),
    [
        ("SETTINGS", [("kernel of a part", 0)]),
        ("PATIENT", [("components", 3)]),
        pytest.param("SETTINGS", [("kernel", 14), ("kernel of a part", 0)], marks=pytest.mark.slow),
        pytest.param("PATIENT", [("kernel", 3), ("components", 3)], marks=pytest.mark.slow),
    ],
)
def test_killed__goes_on_to_the_same_surrogate(
    tmp_path: Path, doomed: subprocess.Popen[str], settings: str, deaths: list[tuple[str, int]]
) -> None:
    chosen: TrainingSettings = globals()[settings]
    undisturbed = TrainingLoop()
    expected = train(chosen, undisturbed)
    checkpoint = tmp_path / "deep" / "world.checkpoint"
    for stage, step in deaths:
        kill_at(doomed, checkpoint, stage, step, settings)
    training_loop = TrainingLoop(checkpoint)
    assert_equal(train(chosen, training_loop), expected)
    assert training_loop.validations == undisturbed.validations
    again = TrainingLoop(checkpoint)  # finished: nothing is left to be done
    assert_equal(train(chosen, again), expected)
    assert again.validations == undisturbed.validations
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_checkpoint_and_progress__change_nothing(
    tmp_path: Path, undisturbed: MetaLearnedSurrogate, capfd: pytest.CaptureFixture[str]
) -> None:
    assert_equal(train(SETTINGS, TrainingLoop(tmp_path / "checkpoint", progress=True)), undisturbed)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""  # no terminal, no bar; nothing set aside, nothing to report


def test_checkpoint__of_another_training_is_refused(tmp_path: Path, checkpoint: bytes) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(checkpoint)
    with pytest.raises(ArtefactError, match="is of another training"):
        train(replace(SETTINGS, component_steps=26), TrainingLoop(path))
    with pytest.raises(ArtefactError, match="is of another training"):
        train_on_tables(world(7), settings=SETTINGS, random_state=5, training_loop=TrainingLoop(path))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_checkpoint__damaged_is_told(tmp_path: Path, checkpoint: bytes, content: bytes | None) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(checkpoint[:-2000] if content is None else content)
    with pytest.raises(ArtefactError, match="is no checkpoint, or damaged"):
        train(SETTINGS, TrainingLoop(path))


def test_checkpoint__that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        train(SETTINGS, TrainingLoop(tmp_path / "file" / "checkpoint"))


def test_validation__reports_how_well_held_out_families_are_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    training_loop = TrainingLoop(progress=True)
    surrogate = train_on_tables(
        world(14), settings=replace(VALIDATED, kernel_steps=150, component_steps=60), training_loop=training_loop
    )
    assert len(surrogate.task_names) == 14  # in the end, all are source tasks
    stages = [v.stage for v in training_loop.validations]
    assert stages == ["kernel"] * 15 + ["components"] * 6
    first, last = training_loop.validations[15].log_densities, training_loop.validations[-1].log_densities
    assert len(last) == 2  # after 0 and 5 trials: 30 are too few to show 20
    assert np.mean(last) > np.mean(first)
    # One that knows nothing but that scores are standard normal has -1.42.
    assert last[0] > -1.3
    assert last[1] > last[0]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[-1] == str(training_loop.validations[-1])
    assert lines[-1].startswith("components, step 60: log density of held-out z-scores")


def test_validation__of_itself_changes_no_step() -> None:
    kept, away = set_aside(world(8), VALIDATED.validation_share, 5)
    assert len(away) == 2
    validated = train(VALIDATED)
    alone = train_on_tables(kept, settings=SETTINGS, random_state=5)
    assert torch.equal(validated.components.mean_slope, alone.components.mean_slope)


def test_patience__goes_back_to_the_best() -> None:
    training_loop = TrainingLoop()
    surrogate = train(PATIENT, training_loop)
    for stage, n_steps in (("kernel", 45), ("components", 25)):
        values = [float(np.mean(v.log_densities)) for v in training_loop.validations if v.stage == stage]
        assert len(values) < n_steps // 2  # stopped, at these rates
        assert len(values) == int(np.argmax(values)) + 1 + PATIENT.patience
    _, away = set_aside(world(8), PATIENT.validation_share, 5)
    scores = [v.log_densities for v in training_loop.validations if v.stage == "kernel"]
    found = HeldOut(away).kernel_densities(surrogate.kernel)
    np.testing.assert_allclose(found, max(scores, key=np.mean), rtol=1e-4)  # the maps were rounded after training


@pytest.mark.parametrize("share", [-0.1, 0.9, 1.0, 1.5])
def test_validation__needs_tasks_on_both_sides(share: float) -> None:
    with pytest.raises(DataError, match=r"validation_share must be in \[0, 1\)"):
        train_on_tables(world(4), settings=replace(SETTINGS, validation_share=share))


def test_patience__needs_validation() -> None:
    with pytest.raises(DataError, match="set a validation_share"):
        train(replace(SETTINGS, patience=3))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device__that_is_not_there_is_told() -> None:
    with pytest.raises(DataError, match="device 'cuda' was asked for, but torch sees 0 GPUs"):
        train(replace(SETTINGS, device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_device__gpu_learns_the_same_and_repeats_itself() -> None:
    on_gpu = replace(VALIDATED, device="cuda")
    first, again = train(on_gpu), train(on_gpu)
    assert_equal(first, again)
    X = world(8)[0].X
    np.testing.assert_allclose(
        first.posterior(X).mixture_mean(), train(VALIDATED).posterior(X).mixture_mean(), atol=0.2
    )


@pytest.mark.usefixtures("quick_training")
def test_command_line__validates_and_leaves_no_checkpoint(
    toy: MetaDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, kept = tmp_path / "toy", tmp_path / "kept"
    toy.save(folder)
    options = ["--validation-share", "0.3", "--patience", "3", "--checkpoints", str(kept), "--device", "cpu"]
    assert main(["train", str(folder), "--spaces", "toy", *options]) == 0
    printed = capsys.readouterr().out
    assert "components, step 10: log density of held-out z-scores" in printed
    assert (folder / "surrogates" / "toy.r2.safetensors").is_file()
    assert list(kept.iterdir()) == []
    assert main(["train", str(folder), "--spaces", "toy", "--patience", "3"]) == 1
    assert "set a validation_share" in capsys.readouterr().err
