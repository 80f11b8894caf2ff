"""Compact parts: what goes out comes back, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metahpo.exceptions import StoreError
from metahpo.trials.exchange import export_part, import_parts, read_parts
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus


def trial(i: int, status: TrialStatus = TrialStatus.SUCCESS) -> Trial:
    key = TrialKey(f"t{i % 3}@300", "svm", {"C": 1.0 / (1 + i), "kernel": "rbf"}, "v2", seed=i % 2)
    rng = np.random.default_rng(i)
    losses = {m: rng.random(4).tolist() for m in ("accuracy", "neg_log_loss")} if status == "success" else {}
    return Trial(key, status, losses, [0.5] * len(losses), [0.1] * len(losses), "" if losses else "stopped", 2.5)


def test_parts__come_back_as_they_went_out(tmp_path: Path) -> None:
    trials = [trial(i) for i in range(9)] + [trial(9, TrialStatus.TIMEOUT)]
    TrialStore(tmp_path / "build").append(trials)
    assert export_part(tmp_path / "build", tmp_path / "parts") == 10
    assert import_parts(tmp_path / "parts", tmp_path / "other") == 10
    back = {t.key.identity: t for t in TrialStore(tmp_path / "other")}
    assert back.keys() == {t.key.identity for t in trials}
    for t in trials:
        other = back[t.key.identity]
        assert (other.key, other.status, other.message) == (t.key, t.status, t.message)
        assert other.fold_losses.keys() == t.fold_losses.keys()
        for metric, losses in t.fold_losses.items():
            assert other.fold_losses[metric] == pytest.approx(losses, rel=2e-5)


def test_parts__hold_each_trial_once_and_are_only_added(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "build")
    store.append(trial(i) for i in range(4))
    assert export_part(tmp_path / "build", tmp_path / "parts") == 4
    first = {p: p.read_bytes() for p in (tmp_path / "parts").iterdir()}
    assert export_part(tmp_path / "build", tmp_path / "parts") == 0
    store.append([trial(5)])
    next(iter(first)).rename(tmp_path / "parts" / "part-0.parquet")  # the next one may come within the same second
    assert export_part(tmp_path / "build", tmp_path / "parts") == 1
    assert (tmp_path / "parts" / "part-0.parquet").read_bytes() in first.values()
    assert len(list(read_parts(tmp_path / "parts"))) == 5
    assert import_parts(tmp_path / "parts", tmp_path / "build") == 0


def test_parts__of_a_thousand_trials_take_few_bytes(tmp_path: Path) -> None:
    TrialStore(tmp_path / "build").append(trial(i) for i in range(1000))
    export_part(tmp_path / "build", tmp_path / "parts")
    assert sum(p.stat().st_size for p in (tmp_path / "parts").iterdir()) < 60_000


def test_parts__damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "part-1.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(StoreError, match=r"part-1.parquet' cannot be read"):
        list(read_parts(tmp_path))
