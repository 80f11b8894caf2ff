"""Workers share the GPUs of a machine out; a slot is held by one of them at a time and comes back when it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metahpo.building.device_slots import VISIBLE, take_slot, visible_devices
from metahpo.building.device_use import device_use, forget_device_use
from metahpo.building.protocol import Protocol
from metahpo.building.trial_process import Limits
from metahpo.building.worker import Workplace, close_tools, run_batch
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import TrialKey

HOLDER = """
import sys, time
from pathlib import Path
from metahpo.building.device_slots import take_slot
slot = take_slot(sys.argv[2:], 1, Path(sys.argv[1]))
print(slot.device, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("given", "devices"),
    [("2,3", ["2", "3"]), ("GPU-a, MIG-b", ["GPU-a", "MIG-b"]), ("", []), ("-1", []), ("0,-1,1", ["0"])],
)
def test_devices_that_were_given_are_respected(given: str, devices: list[str]) -> None:
    assert visible_devices({VISIBLE: given}) == devices


def test_every_device_gets_its_first_worker_before_one_gets_its_second(tmp_path: Path) -> None:
    slots = [take_slot(["a", "b"], 2, tmp_path) for _ in range(5)]
    assert [slot.device for slot in slots] == ["a", "b", "a", "b", ""]  # the last one: the CPU
    assert slots[4].environment == {VISIBLE: ""}
    slots[1].release()
    again = take_slot(["a", "b"], 2, tmp_path)
    assert again.device == "b"
    assert again.environment == {VISIBLE: "b"}
    for slot in [*slots, again]:
        slot.release()


def test_a_killed_worker_leaves_its_slot_to_others(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "a\n"
            assert take_slot(["a"], 1, tmp_path).device == ""
        finally:
            other.send_signal(signal.SIGKILL)
    slot = take_slot(["a"], 1, tmp_path)
    assert slot.device == "a"
    slot.release()


def test_a_machine_without_devices_makes_no_folder(tmp_path: Path) -> None:
    assert take_slot([], 4, tmp_path / "slots").device == ""
    assert not (tmp_path / "slots").exists()


def test_a_trial_process_sees_the_device_of_its_slot_only(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, f"made-up-{tmp_path},another")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
    place = Workplace(tmp_path, small_cache, Protocol(2), Limits(), tmp_path / ".drain")
    try:
        run_batch([TrialKey("s0", "planted:tell_devices", {"amount": 0.0}, "v1")], place)
    finally:
        close_tools()
    (trial,) = TrialStore(tmp_path)
    assert trial.message == f"RuntimeError: made-up-{tmp_path}"
    assert (trial.device, trial.peak_device_memory_bytes) == ("cpu", 0)


@pytest.mark.gpu
def test_what_a_trial_holds_on_a_gpu_is_seen() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    torch.zeros(1 << 20, device="cuda")
    forget_device_use()
    assert device_use() == ("cpu", 0)
    held = torch.zeros(1 << 22, device="cuda")
    assert device_use() == (torch.cuda.get_device_name(), held.nbytes)
