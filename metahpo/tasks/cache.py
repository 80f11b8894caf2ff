"""Former address of functions of :mod:`metahpo.datasets.cache`, kept for existing code."""

from metahpo.datasets.cache import read_task, write_task

__all__ = ["read_task", "write_task"]
