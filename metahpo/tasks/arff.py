"""Former address of :func:`metahpo.datasets.arff.read_arff`, kept for existing code."""

from metahpo.datasets.arff import read_arff

__all__ = ["read_arff"]
