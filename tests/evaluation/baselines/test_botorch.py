from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
import torch

from metahpo.evaluation.baselines.botorch import BoTorch
from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.replay import replay
from metahpo.exceptions import MissingDependencyError
from tests.evaluation.bowls import bowl


def test_library_finds_a_minimum_sooner_than_chance_and_leaves_the_random_state_alone() -> None:
    pytest.importorskip("botorch")
    table, before = bowl("t", 0.3, n=60), torch.random.get_rng_state()
    model = replay(BoTorch(), table, 12, n_replays=1)
    chance = replay(RandomSearch(), table, 12, n_replays=1)
    np.testing.assert_array_equal(model.regret[:5], chance.regret[:5])  # the same random start
    assert model.regret[-1] < 0.5 * chance.regret[4]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_missing_library_is_answered_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str, package: str | None = None) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nowhere)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metahpo\[botorch\]'"):
        BoTorch()
