"""Devices and precision of torch."""

from __future__ import annotations

import torch

from metahpo.exceptions import DataError

#: Dtype of weights and of random numbers. It is always given: a caller may have changed torch's default.
SINGLE = torch.float32


def device_named(name: str) -> torch.device:
    """Look up a device; "auto" is a GPU where torch sees one.

    Raises
    ------
    DataError
        A name torch does not know, or a GPU where there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DataError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', but is {name!r}.") from error
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise DataError(f"device {name!r} was asked for, but torch sees {torch.cuda.device_count()} GPUs; use 'cpu'.")
    if device.type not in ("cpu", "cuda"):
        raise DataError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', but is {name!r}.")
    return device
