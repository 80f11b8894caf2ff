"""Shares of a plan: disjoint, together all of it, and the same wherever they are asked for."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from metahpo.building.builder import run_plan
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.building.shard import WHOLE, Shard
from metahpo.exceptions import DataError
from metahpo.trials.store import TrialStore

IDENTITIES = [sha256(str(i).encode()).hexdigest()[:32] for i in range(3000)]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_trial_belongs_to_one_share_and_shares_are_even(count: int) -> None:
    shares = [{i for i in IDENTITIES if Shard(index, count).owns(i)} for index in range(1, count + 1)]
    assert sum(map(len, shares)) == len(set.union(*shares)) == len(IDENTITIES)
    assert all(0.8 < len(share) * count / len(IDENTITIES) < 1.2 for share in shares)


def test_a_share_is_written_i_of_n() -> None:
    assert Shard.parse("3/4") == Shard(3, 4)
    assert Shard.parse("1/1") == WHOLE
    for wrong in ("0/4", "5/4", "4", "a/b", "/", "-1/4", "1/0", ""):
        with pytest.raises(DataError, match="a shard is i/n"):
            Shard.parse(wrong)


def test_shares_run_by_themselves_make_the_whole(small_cache: Path, tmp_path: Path) -> None:
    plan = make_plan(small_cache, keys=["s0"], learners=["linear"], n_configurations=12, protocol=Protocol(2))
    whole = {key.identity for key in plan.trials()}
    first = {key.identity for key in plan.pending(set(), Shard(1, 2))}
    run_plan(plan, tmp_path, n_jobs=1, shard=Shard(1, 2))
    assert set(TrialStore(tmp_path).identities()) == first
    assert 0 < len(first) < len(whole)
    run_plan(plan, tmp_path, n_jobs=1, shard=Shard(2, 2))
    assert set(TrialStore(tmp_path).identities()) == whole
