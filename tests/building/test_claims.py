"""A claim keeps everybody else away, and ends with the process that holds it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metahpo.building.claims import CLAIMS_FILE, Claims, claims_of
from metahpo.exceptions import StoreError

FIRST, SECOND = "0" * 31 + "1", "f" * 32  # the first differs from no other in what a lock's place is made of

HOLDER = """
import sys, time
from pathlib import Path
from metahpo.building.claims import claims_of
print(*(claims_of(Path(sys.argv[1])).take(identity) for identity in sys.argv[2:]), flush=True)
time.sleep(1000)
"""


def holder(folder: Path, *identities: str) -> subprocess.Popen[str]:
    """Another process, which takes claims and holds what it got."""
    return subprocess.Popen([sys.executable, "-c", HOLDER, str(folder), *identities], stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_what_a_process_claims_is_refused_to_others_until_it_dies(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    other = holder(tmp_path, FIRST)
    try:
        assert answer(other) == "True"
        assert not claims.take(FIRST)
        assert claims.take(SECOND)
    finally:
        end(other)
    assert claims.take(FIRST)
    third = holder(tmp_path, FIRST, SECOND)
    try:
        assert answer(third) == "False False"
    finally:
        end(third)
    claims.release(FIRST)
    fourth = holder(tmp_path, FIRST, SECOND)
    try:
        assert answer(fourth) == "True False"
    finally:
        end(fourth)


def test_threads_of_one_process_are_told_apart(tmp_path: Path) -> None:
    claims = claims_of(tmp_path)
    assert claims is claims_of(tmp_path)
    assert claims.take(FIRST)
    assert not claims.take(FIRST)
    claims.release(FIRST)
    assert claims.take(FIRST)


def test_a_claim_takes_no_room(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    for i in range(100):
        assert claims.take(f"{i * 7919:015x}{'0' * 17}")
    assert (tmp_path / CLAIMS_FILE).stat().st_size == 0


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere' cannot be written"):
        Claims(tmp_path / "nowhere")
