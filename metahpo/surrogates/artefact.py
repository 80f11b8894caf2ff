"""Stored surrogates: one file each, safe to load and self-describing.

The header of a file names the kind of its surrogate. A kind is registered with a reader, a function that builds the
surrogate from the tensors and the header. Other packages register their kinds by entry points of the group
``metahpo.surrogates``, or by :func:`register_surrogate_kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from metahpo.exceptions import ArtefactError, DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.registry import Registry
from metahpo.surrogates import tensor_file
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from metahpo.surrogates.mixture.mixture_file import KIND
from metahpo.surrogates.surrogate import TrainedSurrogate

#: Builds a surrogate from the tensors and the header of its file.
SurrogateReader = Callable[[Mapping[str, Tensor], Mapping[str, Any]], TrainedSurrogate]

#: Exceptions of a reader that mean that the parts of a file are inconsistent.
_INCONSISTENT = (LookupError, RuntimeError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError)

_KINDS: Registry[SurrogateReader] = Registry(
    "kind of surrogate",
    "metahpo.surrogates",
    {KIND: MetaLearnedSurrogate.from_parts},
    expected="a function of the tensors and the header of a file, which returns a surrogate",
    accepts=callable,
)


def register_surrogate_kind(name: str, reader: SurrogateReader) -> None:
    """Add a kind of surrogate, for this process.

    A package adds one for all processes by an entry point of the group ``metahpo.surrogates``.

    Parameters
    ----------
    name : str
        Name of the kind in the header of its files.
    reader : callable
        Takes the tensors and the header of a file and returns a
        :class:`~metahpo.surrogates.surrogate.TrainedSurrogate`. It raises ValueError if they are inconsistent.

    Raises
    ------
    DataError
        The name is taken or is not plain, or `reader` is not callable.
    """
    _KINDS.register(name, reader)


def unregister_surrogate_kind(name: str) -> None:
    """Remove a kind of surrogate that :func:`register_surrogate_kind` added.

    Raises
    ------
    UnknownNameError
        Nothing was registered under the name.
    """
    _KINDS.unregister(name)


def surrogate_path(folder: Path, space: str | None, metric: str) -> Path:
    """File, inside a meta-dataset's folder, of the surrogate for a space (None: all together) and a metric.

    Raises
    ------
    ArtefactError
        A name that is not plain: its file would lie in another folder.
    """
    return tensor_file.path_in(folder, "surrogates", space, metric, "surrogate's file")


def save_surrogate(path: Path | str, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write the parts of a surrogate to one file, from which :func:`load_surrogate` reads it.

    The file is complete or absent: it is written under a temporary name and renamed.

    Parameters
    ----------
    path : Path or str
    kind : str
        Registered name of the kind.
    tensors : mapping of str to Tensor
    header : mapping of str to JSON values
        Everything else that the reader of the kind needs.

    Raises
    ------
    DataError
        No reader is registered for the kind, so the file could not be read.
    StoreError
        The file cannot be written.
    """
    if kind not in _KINDS:
        raise DataError(
            f"{kind!r} is not a registered kind of surrogate; known are {_KINDS.names()}. Call register_surrogate_kind "
            "first, or declare an entry point of the group 'metahpo.surrogates'."
        )
    tensor_file.write(Path(path), kind, tensors, header)


@own_arithmetic()
def load_surrogate(path: Path | str) -> TrainedSurrogate:
    """Read a surrogate from a file that its ``save`` method has written.

    Raises
    ------
    ArtefactError
        The file is missing, damaged, not a surrogate, or of an unknown kind or layout.
    PluginError
        The package that offers the kind of the surrogate cannot be imported.
    """
    tensors, header = tensor_file.read(Path(path))
    kind = header["kind"]
    # `get` would import a name of the form module:attribute. A file must not choose what is imported.
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ArtefactError(
            f"{str(path)!r} holds a surrogate of the kind {kind!r}, but known are {_KINDS.names()}. Install the "
            "package that offers this kind, or register it with register_surrogate_kind."
        )
    reader = _KINDS.get(kind)
    try:
        return reader(tensors, header)
    except _INCONSISTENT as error:
        raise ArtefactError(f"{str(path)!r} is incomplete or inconsistent: {error!r}. Train it anew.") from error
