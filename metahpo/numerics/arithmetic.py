"""The settings of numpy and torch for computations of the package, independent of those of the caller."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """Compute with the defaults of numpy and torch, in this thread and until the context ends.

    The caller's settings hold again afterwards. They are numpy's handling of floating-point errors (``np.seterr``), and
    torch's default device, gradient mode, inference mode and automatic casts. Torch's default dtype belongs to the
    whole process and is not touched: every tensor of the package is made with a dtype of its own.

    The context serves as a decorator: ``@own_arithmetic()``.
    """
    with ExitStack() as settings:
        settings.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if "torch" in sys.modules:  # the settings of an unloaded library are unchanged
            import torch

            if torch.is_inference_mode_enabled():
                settings.enter_context(torch.inference_mode(False))
            if not torch.is_grad_enabled():
                settings.enter_context(torch.enable_grad())
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    settings.enter_context(torch.autocast(device, enabled=False))
            if torch.empty(0).device.type != "cpu":
                settings.enter_context(torch.device("cpu"))
        yield
