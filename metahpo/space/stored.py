"""Search spaces in stored form, in manifests and in headers of surrogates."""

from __future__ import annotations

from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import SpaceError

#: What ConfigSpace raises over records that it did not write.
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RecursionError)


def read_space(record: Any) -> ConfigurationSpace:
    """Search space of the record that ConfigSpace's ``to_serialized_dict`` gave.

    Raises
    ------
    SpaceError
        A record of anything else.
    """
    try:
        return ConfigurationSpace.from_serialized_dict(dict(record))
    except _UNREADABLE as error:
        raise SpaceError(f"a stored search space cannot be read: {error!r}.") from error
