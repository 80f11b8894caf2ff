"""GPU use of a trial. It is measured only if a learner has already imported torch."""

from __future__ import annotations

import sys


def forget_device_use() -> None:
    """Reset torch's record of the largest device memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def device_use() -> tuple[str, int]:
    """Name of the device that was used since :func:`forget_device_use`, and the most memory held on it, in bytes.

    The name is that of the GPU, or ``"cpu"`` if no GPU held memory.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return "cpu", 0
    peak = int(torch.cuda.max_memory_allocated())
    return (str(torch.cuda.get_device_name()), peak) if peak else ("cpu", 0)
