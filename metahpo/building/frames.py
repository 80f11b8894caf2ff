"""Messages between a worker and its trial process, distinguished from other bytes on their descriptor.

A message is a frame: the nonce that both sides know (16 bytes), the length of the payload (8 bytes, big-endian), its
CRC-32 (4 bytes), and the payload. A learner runs in the trial process and may write on any descriptor or close it. What
it writes does not begin with the nonce, so it is never read as an answer.
"""

from __future__ import annotations

import os
import select
import struct
import zlib

NONCE_BYTES = 16
#: Nonce of the requests to a trial process; each holds the new nonce of its answer.
REQUEST_NONCE = b"metahpo request\n"
#: Length and checksum of the payload.
_HEAD = struct.Struct(">QI")
#: Longest payload that is accepted; the records of a batch are far shorter.
MAX_BYTES = 1 << 28


class ForeignBytesError(Exception):
    """The received bytes are no frame with the expected nonce, so other code wrote on the descriptor."""


def new_nonce() -> bytes:
    """A nonce that cannot be guessed."""
    return os.urandom(NONCE_BYTES)


def send(descriptor: int, nonce: bytes, payload: bytes) -> None:
    """Write one frame.

    Raises
    ------
    OSError
        The descriptor is closed, or the other side is gone.
    """
    rest = memoryview(nonce + _HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class FrameReader:
    """Reads frames from a descriptor, in portions of any size.

    Parameters
    ----------
    descriptor : int
        Readable end of a pipe or socket.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()  # select() knows no descriptor above 1023
        self._poll.register(descriptor, select.POLLIN)
        self._buffer = bytearray()

    def is_silent(self) -> bool:
        """Whether no unrequested bytes have arrived."""
        return not self._buffer and not self._poll.poll(0)

    def receive(self, nonce: bytes, timeout: float | None = None) -> bytes | None:
        """Payload of the next frame; None where it is not complete within `timeout` seconds.

        Parameters
        ----------
        nonce : bytes
            The frame must begin with it.
        timeout : float or None, default=None
            Wait so long for more bytes. None waits for a whole frame.

        Raises
        ------
        ForeignBytesError
            Other bytes arrived.
        EOFError
            The other side is closed.
        OSError
            The descriptor cannot be read.
        """
        while (payload := self._complete(nonce)) is None:
            if timeout is not None and not self._poll.poll(1000.0 * timeout):
                return None
            portion = os.read(self._descriptor, 1 << 16)
            if not portion:
                raise EOFError
            self._buffer += portion
            if timeout is not None:
                return self._complete(nonce)
        return payload

    def _complete(self, nonce: bytes) -> bytes | None:
        buffer = self._buffer
        if not nonce.startswith(bytes(buffer[:NONCE_BYTES])):
            raise ForeignBytesError
        start = NONCE_BYTES + _HEAD.size
        if len(buffer) < start:
            return None
        length, checksum = _HEAD.unpack_from(buffer, NONCE_BYTES)
        if length > MAX_BYTES:
            raise ForeignBytesError
        if len(buffer) < start + length:
            return None
        payload = bytes(buffer[start : start + length])
        if zlib.crc32(payload) != checksum:
            raise ForeignBytesError
        del buffer[: start + length]
        return payload
