"""Process state that a trial can change and leave to the next trial."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sklearn

_LIMITS = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
_SIGNALS = (signal.SIGALRM, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def process_state() -> dict[str, Any]:
    """Settings of this process that can change the result of a trial. They are compared before and after a trial."""
    return {
        "folder": _or_none(os.getcwd),
        "limits": [resource.getrlimit(limit) for limit in _LIMITS],
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "cores": os.sched_getaffinity(0) if sys.platform == "linux" else None,
        "streams": [(id(stream), _or_none(stream.fileno)) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "descriptors": [_or_none(partial(os.fstat, number)) is not None for number in (0, 1, 2)],
        "signals": [signal.getsignal(number) for number in _SIGNALS],
        "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "threads": {thread.ident for thread in threading.enumerate()},
        "recursion": sys.getrecursionlimit(),
        "collects": gc.isenabled(),
        "numpy": np.geterr(),
        "sklearn": sklearn.get_config(),
        "torch": _torch_state(),
    }


def _torch_state() -> tuple[str, str, bool]:
    torch = sys.modules.get("torch")
    if torch is None:
        return "torch.float32", "cpu", True  # what it will begin with
    return str(torch.get_default_dtype()), str(torch.get_default_device()), bool(torch.is_grad_enabled())


def _or_none(ask: Callable[[], Any]) -> Any:
    with contextlib.suppress(OSError, ValueError):
        return ask()
    return None
