"""Seeding of torch's global generators, which new layers and dropout draw from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: The global generators belong to all threads: who seeds them keeps the others of the package out until the end.
_GENERATORS = threading.RLock()


@contextmanager
def torch_seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators, and restore their state when the context ends.

    Threads take turns, so that each draws the numbers of its own seed.

    Parameters
    ----------
    seed : int
    device : torch.device, default=None
        A GPU whose generator is seeded beside the CPU's; None, or a CPU: the CPU's alone.
    """
    gpus = [] if device is None or device.type == "cpu" else [device]
    with _GENERATORS, torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
