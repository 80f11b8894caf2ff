"""The answers of a trial process, as lines of JSON.

They are not pickled, because unpickling runs code of the learner.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from metahpo.exceptions import DataError, StoreError
from metahpo.trials.records import TaskRefusal, record_from_json
from metahpo.trials.trial import Trial

#: Exit code of a trial process that cannot answer, because a learner has closed its descriptors.
CUT_OFF = 97


@dataclass(frozen=True)
class Answer:
    """The end of a request.

    Attributes
    ----------
    outcome : list of Trial, TaskRefusal or None
        The trials, or why their task cannot be measured, or None where several did not end well.
    retire : bool
        Whether the process should be replaced before the next request.
    """

    outcome: Sequence[Trial] | TaskRefusal | None
    retire: bool

    def to_bytes(self) -> bytes:
        """JSON lines.

        Raises
        ------
        TypeError, ValueError, RecursionError
            A trial holds what JSON does not know.
        """
        records = [self.outcome] if isinstance(self.outcome, TaskRefusal) else self.outcome or ()
        return "\n".join([json.dumps(self.retire), *(record.to_json() for record in records)]).encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> Answer:
        """Inverse of :meth:`to_bytes`.

        Raises
        ------
        ValueError
            No answer.
        """
        try:
            first, *lines = text.split(b"\n")
            retire = bool(json.loads(first))
            records = [record_from_json(line) for line in lines]
        except (DataError, StoreError) as error:
            raise ValueError(str(error)) from error
        trials = [record for record in records if isinstance(record, Trial)]
        refusals = [record for record in records if isinstance(record, TaskRefusal)]
        return cls(refusals[0] if refusals else trials or None, retire)
