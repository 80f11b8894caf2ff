"""Errors a user can meet. Each is also a builtin error, so that callers need not know this module."""


class MetaHPOError(Exception):
    """Base of every error raised on purpose; the message says what was expected, what came, and what to do next."""


class DataError(MetaHPOError, ValueError):
    """A dataset, target or table that cannot be used as given."""


class UnknownNameError(MetaHPOError, ValueError):
    """A learner, metric, method or dataset name that does not exist; the message lists those that do."""

    def __init__(self, what: str, name: object, known: "list[str] | tuple[str, ...]", hint: str = "") -> None:
        super().__init__(
            f"unknown {what} {name!r}; known are: {', '.join(known) or '(none)'}.{' ' + hint if hint else ''}"
        )
        self._parts = (what, name, known, hint)

    def __reduce__(self) -> tuple[type["UnknownNameError"], tuple[object, ...]]:
        return type(self), self._parts  # so that it comes home from a worker process


class SpaceError(MetaHPOError, ValueError):
    """A search space, or a configuration that does not belong to it."""


class ArtefactError(MetaHPOError, ValueError):
    """A stored surrogate or meta-dataset that is damaged, foreign, or of an unsupported version."""


class StoreError(MetaHPOError, OSError):
    """The trial store or the dataset cache cannot be read or written."""


class MissingDependencyError(MetaHPOError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


class PluginError(MetaHPOError, RuntimeError):
    """A learner, metric, ... of another package that cannot be used; the message names it and says what to do."""


class StoreWarning(UserWarning):
    """Something in a trial store was passed over because it is damaged; the message names the file."""


class WarmStartWarning(UserWarning):
    """A search starts with less experience than it could, or with that of another metric; the message says why."""
