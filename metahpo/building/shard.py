"""A share of a plan, for one of n drivers. The identity of a trial decides to which share it belongs."""

from __future__ import annotations

from dataclasses import dataclass

from metahpo.exceptions import DataError


@dataclass(frozen=True)
class Shard:
    """Share `index` of `count`, counted from 1.

    A trial belongs to one share only, by its identity: every driver of the same plan finds the same shares, and more
    configurations or tasks move no trial from one share to another.

    Raises
    ------
    DataError
        `index` is not within 1 to `count`.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise DataError(f"a shard is i/n with 1 <= i <= n, such as 1/4 to 4/4; got {self.index}/{self.count}.")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        Raises
        ------
        DataError
            Another form.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal()):
            raise DataError(f"a shard is i/n with 1 <= i <= n, such as 1/4 to 4/4; got {text!r}.")
        return cls(int(index), int(count))

    def owns(self, identity: str) -> bool:
        """Whether the trial of that identity belongs to this share."""
        return self.count == 1 or int(identity[:15], 16) % self.count == self.index - 1


#: All of a plan.
WHOLE = Shard(1, 1)
