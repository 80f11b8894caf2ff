"""What a search of another tool is begun with."""

from __future__ import annotations

from typing import Any

import pytest

from metahpo.exceptions import DataError
from metahpo.integrations.start import first_configurations
from metahpo.testing.integrations import FIRST
from metahpo.testing.optimizers import small_space


def test_each_comes_once_with_what_is_inactive() -> None:
    first = first_configurations([*FIRST, FIRST[0]], small_space())
    assert first == [{"knob": 0.5, **given} for given in FIRST]
    assert first_configurations(FIRST) == list(FIRST)


@pytest.mark.parametrize("initial", [None, {"x": 0.5}, "best", [0.5]])
def test_what_holds_no_configurations_is_refused(initial: Any) -> None:
    with pytest.raises(DataError, match="initial must be a list of configurations, or recommendations, but is"):
        first_configurations(initial)
