"""Frames arrive whole or not at all, whatever else is written on their descriptor."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from metahpo.building.answer import Answer
from metahpo.building.frames import ForeignBytesError, FrameReader, new_nonce, send
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

NONCE = b"0123456789abcdef"


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Readable and writable end of a pipe."""
    pipe = os.pipe()
    yield pipe
    for descriptor in pipe:
        os.close(descriptor)


def frame(payload: bytes) -> bytes:
    reading, writing = os.pipe()
    send(writing, NONCE, payload)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        return file.read()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_frames_come_in_any_portions(ends: tuple[int, int], size: int) -> None:
    reading, writing = ends
    reader, text = FrameReader(reading), frame(b"first") + frame(b"") + frame(b"third")
    found = []
    for start in range(0, len(text), size):
        os.write(writing, text[start : start + size])
        while (payload := reader.receive(NONCE, 0.0)) is not None:
            found.append(payload)
    assert found == [b"first", b"", b"third"]
    assert reader.is_silent()


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense",
        b"x" * 100,
        frame(b"payload")[1:],
        frame(b"payload")[:20] + b"?" + frame(b"payload")[20:],
        frame(b"payload")[:-1] + b"?",
        NONCE + b"\xff" * 20,
    ],
)
def test_other_bytes_are_no_frame(ends: tuple[int, int], text: bytes) -> None:
    reading, writing = ends
    os.write(writing, text)
    with pytest.raises(ForeignBytesError):
        FrameReader(reading).receive(NONCE, 0.0)


def test_a_frame_with_another_nonce_is_foreign(ends: tuple[int, int]) -> None:
    reading, writing = ends
    send(writing, new_nonce(), b"an answer to something else")
    with pytest.raises(ForeignBytesError):
        FrameReader(reading).receive(NONCE, 0.0)


def test_a_closed_connection_is_the_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, frame(b"cut")[:-1])
    os.close(writing)
    with pytest.raises(EOFError):
        FrameReader(reading).receive(NONCE)
    os.close(reading)


def test_answers_come_back_from_their_bytes() -> None:
    key = TrialKey("task", "linear", {"C": 0.1}, "v1")
    failed = Trial(key, TrialStatus.CRASHED, message="line one\nline \udc80two")
    for answer in (Answer([failed], True), Answer(TaskRefusal("task", "why"), False), Answer(None, True)):
        back = Answer.from_bytes(answer.to_bytes())
        assert (type(back.outcome), back.retire) == (type(answer.outcome), answer.retire)
        assert back.to_bytes() == answer.to_bytes()
    for text in (b"", b"true\nnonsense", b"\xff"):
        with pytest.raises(ValueError, match=r"no|Expecting|decode|not"):
            Answer.from_bytes(text)
