"""The number of processes that work side by side, checked before the work begins."""

from __future__ import annotations

import argparse

from metahpo.exceptions import DataError


def check_n_jobs(n_jobs: object) -> None:
    """Refuse what is no number of processes for joblib.

    Parameters
    ----------
    n_jobs : object
        A positive integer; -1 for one process a core, -2 for one less, and so on; or None for what
        ``joblib.parallel_config`` says, which is 1 by default.

    Raises
    ------
    DataError
        It is 0, no integer, or a bool.
    """
    if n_jobs is not None and (isinstance(n_jobs, bool) or not hasattr(n_jobs, "__index__") or n_jobs == 0):
        raise DataError(f"n_jobs must be a number of processes, -1 for one a core, or None, but is {n_jobs!r}.")


def jobs(text: str) -> int:
    """Value of an option ``--jobs`` of the command line.

    Raises
    ------
    argparse.ArgumentTypeError
        It is 0, or no integer.
    """
    try:
        number = int(text)
        check_n_jobs(number)
    except ValueError:  # a DataError, too
        raise argparse.ArgumentTypeError(f"give a number of processes, or -1 for one a core, not {text!r}") from None
    return number
