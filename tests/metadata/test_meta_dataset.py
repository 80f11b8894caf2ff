"""The meta-dataset: tables that belong together, changes that lose nothing, splits that tear no family apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition
from hypothesis import given, settings
from hypothesis import strategies as st

from metahpo.exceptions import DataError, SpaceError, UnknownNameError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.cash import from_cash
from tests.conftest import toy_meta_dataset, toy_space

OTHER = ConfigurationSpace({"x": (0.0, 1.0)})


def two_spaces() -> MetaDataset:
    """The toy's first three tasks, and a second search space tried on the first two only."""
    toy = toy_meta_dataset(n_tasks=3, n_configurations=4)
    rows = [
        {"task": f"task{t}", "space": "other", "configuration": json.dumps({"x": x}), "status": "success",
         "seconds": 10.0 * t + x, "loss.r2": x * x, "folds.r2": [x, x, x]}
        for t in (1, 0) for x in (0.25, 0.75)
    ]  # fmt: skip
    trials = pd.concat([pd.DataFrame(rows), toy.trials]).sample(frac=1.0, random_state=0)
    return MetaDataset(toy.tasks, trials, toy.meta_features, {**toy.spaces, "other": OTHER}, name="two")


TWO = two_spaces()


def assert_equal(a: MetaDataset, b: MetaDataset) -> None:
    assert (a.name, a.version, a.protocol, a.metrics) == (b.name, b.version, b.protocol, b.metrics)
    assert a.spaces == b.spaces
    pd.testing.assert_frame_equal(a.tasks, b.tasks)
    pd.testing.assert_frame_equal(a.trials.drop(columns="folds.r2"), b.trials.drop(columns="folds.r2"))
    assert [list(f) for f in a.trials["folds.r2"]] == [list(f) for f in b.trials["folds.r2"]]
    assert (a.meta_features is None) == (b.meta_features is None)
    if a.meta_features is not None and b.meta_features is not None:
        pd.testing.assert_frame_equal(a.meta_features, b.meta_features)


# --- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["toy", "other", None])
def test_losses_folds_and_seconds_belong_to_the_row_beside_them(space: str | None) -> None:
    tables, folds, seconds = TWO.tables(space, "r2"), TWO.fold_losses(space, "r2"), TWO.seconds(space)
    expected = ["task0", "task1", "task2"] if space == "toy" else ["task0", "task1"]  # learners meet on the first two
    assert [t.task for t in tables] == list(folds) == list(seconds) == expected
    encoder = TWO.encoder(space)
    by_key = {(r["task"], r["space"], r["configuration"]): r for r in TWO.trials.to_dict("records")}
    for table in tables:
        for i, configuration in enumerate(encoder.decode(table.X)):
            name, own = from_cash(configuration) if space is None else (space, configuration)
            row = next(
                r
                for key, r in by_key.items()
                if key[:2] == (table.task, name) and json.loads(key[2]) == pytest.approx(own)
            )
            assert table.loss[i] == pytest.approx(np.minimum(row["loss.r2"], 1.0), nan_ok=True)
            assert seconds[table.task][i] == row["seconds"]
            assert [f for f in folds[table.task][i] if np.isfinite(f)] == [min(f, 1.0) for f in row["folds.r2"]]
    rows = TWO.trials.query("task in @expected")
    assert sum(len(t.loss) for t in tables) == len(rows if space is None else rows.query("space == @space"))


def test_meta_features_and_families_come_with_the_table(toy: MetaDataset) -> None:
    for table in toy.tables("toy"):
        assert table.meta_features is not None
        assert list(table.meta_features) == ["shift", "noise", "unknown"]
        assert toy.meta_features is not None
        assert table.meta_features["shift"] == toy.meta_features.at[table.task, "shift"]
        assert table.family == toy.tasks.at[table.task, "family"]
    bare = MetaDataset(toy.tasks, toy.trials, None, toy.spaces)
    assert [t.meta_features for t in bare.tables()] == [None] * 12


def test_a_failed_trial_is_missing_in_every_table(toy: MetaDataset) -> None:
    first = toy.tables("toy")[0]
    assert np.isnan(first.loss).sum() == 1
    assert np.isnan(toy.fold_losses("toy")["task0"][np.isnan(first.loss)]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda md: md.tables("svm"), "unknown search space 'svm'; known are: toy, other"),
        (lambda md: md.tables("toy", "accuracy"), "unknown recorded metric 'accuracy'; known are: r2"),
        (lambda md: md.fold_losses("toy", "accuracy"), "unknown recorded metric"),
        (lambda md: md.seconds("svm"), "unknown search space"),
        (lambda md: md.encoder("svm"), "unknown search space"),
        (lambda md: md.drop(tasks=["task9"]), "unknown task 'task9'; known are: task0, task1, task2"),
        (lambda md: md.drop(families=["family9"]), "unknown family 'family9'"),
        (lambda md: md.drop(data_ids=[1]), "unknown OpenML data id 1; known are: 100, 101, 102"),
    ],
)
def test_unknown_names_are_refused_with_those_that_exist(call: Any, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        call(TWO)


# --- what makes a meta-dataset --------------------------------------------------------------------------------------


def test_tables_that_do_not_fit_are_refused(toy: MetaDataset) -> None:
    tasks, trials, features, spaces = toy.tasks, toy.trials, toy.meta_features, toy.spaces
    assert features is not None
    cases: list[tuple[tuple[Any, ...], str]] = [
        ((tasks.drop(columns="family"), trials, features, spaces), r"tasks table lacks the columns \['family'\]"),
        ((tasks, trials.drop(columns=["space", "seconds"]), features, spaces), r"lacks the columns \['space', 'sec"),
        ((tasks, trials.drop(columns="loss.r2"), features, spaces), "no column loss.METRIC"),
        ((tasks.drop(index="task3"), trials, features, spaces), r"tasks table does not have: \['task3'\]"),
        ((tasks, trials, features, {}), r"search spaces that are not given: \['toy'\]"),
        ((pd.concat([tasks, tasks[:1]]), trials, features, spaces), r"tasks table lists tasks twice: \['task0'\]"),
        ((tasks, trials, pd.concat([features, features[:2]]), spaces), r"lists tasks twice: \['task0', 'task1'\]"),
    ]
    for arguments, message in cases:
        with pytest.raises(DataError, match=message):
            MetaDataset(*arguments)


def test_a_configuration_outside_its_space_is_found(toy: MetaDataset) -> None:
    trials = toy.trials.copy()
    trials.loc[5, "configuration"] = '{"mode": "plain", "rate": 1000.0}'
    with pytest.raises(SpaceError, match=r"'rate' = 1000.0 is not allowed"):
        MetaDataset(toy.tasks, trials, None, toy.spaces).tables("toy")


def test_a_benchmark_without_folds_says_so(toy: MetaDataset) -> None:
    with pytest.raises(DataError, match="records no losses per fit of r2"):
        MetaDataset(toy.tasks, toy.trials.drop(columns="folds.r2"), None, toy.spaces).fold_losses("toy")


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [True, False])
def test_save_and_load_give_the_same_meta_dataset(features: bool, tmp_path: Path) -> None:
    md = MetaDataset(
        TWO.tasks,
        TWO.trials,
        TWO.meta_features if features else None,
        TWO.spaces,
        name="n",
        version="2.1",
        protocol="p",
    )
    md.save(tmp_path / "a folder" / "n")
    again = MetaDataset.load(tmp_path / "a folder" / "n")
    assert_equal(md, again)
    for space in ("toy", None):
        for before, after in zip(md.tables(space), again.tables(space), strict=True):
            np.testing.assert_array_equal(before.X, after.X)
    again.save(tmp_path / "b")
    assert_equal(md, MetaDataset.load(tmp_path / "b"))


def test_a_built_meta_dataset_survives_a_save(built_meta_dataset: MetaDataset, tmp_path: Path) -> None:
    built_meta_dataset.save(tmp_path)
    again = MetaDataset.load(tmp_path)
    assert again.spaces == built_meta_dataset.spaces
    assert len(again.metrics) > 1
    for metric in again.metrics:
        before, after = built_meta_dataset.tables(None, metric), again.tables(None, metric)
        assert all(np.array_equal(a.loss, b.loss, equal_nan=True) for a, b in zip(before, after, strict=True))
        errors = again.standard_errors(None, metric)
        for task, own in built_meta_dataset.standard_errors(None, metric).items():
            assert np.array_equal(own, errors[task], equal_nan=True)
    folds, default = again.fold_losses(), again.metrics[0]
    assert all(np.array_equal(own, folds[t]) for t, own in built_meta_dataset.fold_losses(None, default).items())
    with pytest.raises(DataError, match=f"no losses per fit of {again.metrics[1]}, only means. It does of {default}"):
        again.fold_losses(None, again.metrics[1])
    assert repr(again).startswith("MetaDataset('small', version 1: 4 tasks, 48 trials, spaces ['linear', 'svm']")


# --- change ---------------------------------------------------------------------------------------------------------


def test_drop_takes_tasks_trials_and_meta_features(toy: MetaDataset) -> None:
    left = toy.drop(tasks=["task0"], families=["family1"], data_ids=[105])
    gone = {"task0", "task2", "task3", "task5"}
    assert set(left.tasks.index) == set(toy.tasks.index) - gone
    assert set(left.trials["task"]) == set(left.tasks.index)
    assert left.meta_features is not None
    assert set(left.meta_features.index) == set(left.tasks.index)
    assert len(toy.tasks) == 12  # the original is as it was
    assert_equal(toy.drop(), toy)


def test_merging_parts_gives_the_whole_and_the_own_comes_first(toy: MetaDataset) -> None:
    train, test = toy.split(0.25)
    merged = train.merge(test)
    assert set(merged.tasks.index) == set(toy.tasks.index)
    assert len(merged.trials) == len(toy.trials)
    assert_equal(toy.merge(toy), toy)
    changed = toy.trials.assign(**{"loss.r2": -1.0})
    kept = toy.merge(MetaDataset(toy.tasks.assign(n_rows=-1), changed, None, toy.spaces))
    assert_equal(kept, toy)


def test_merging_spaces_of_one_name_that_differ_is_refused(toy: MetaDataset) -> None:
    other = MetaDataset(toy.tasks[:1], toy.trials[:0], None, {"toy": OTHER}, name="other")
    with pytest.raises(DataError, match="search space 'toy' differs between 'toy' and 'other'"):
        toy.merge(other)


def turned(space: ConfigurationSpace) -> ConfigurationSpace:
    """The toy space with its choices in another order."""
    other = ConfigurationSpace()
    mode = Categorical("mode", ["wild", "tuned", "plain"], default="plain")
    other.add(mode, space["knob"], space["rate"], EqualsCondition(space["knob"], mode, "tuned"))
    return other


def test_merging_spaces_whose_choices_stand_in_another_order_moves_no_column(toy: MetaDataset) -> None:
    first, second = toy.split(0.5)
    other = MetaDataset(second.tasks, second.trials, second.meta_features, {"toy": turned(toy.spaces["toy"])})
    merged = first.merge(other)
    assert merged.encoder("toy").columns == toy.encoder("toy").columns != other.encoder("toy").columns
    expected = {table.task: table.X for table in toy.tables("toy")}
    for table in merged.tables("toy"):
        np.testing.assert_array_equal(table.X, expected[table.task])
    assert len(merged.merge(other).trials) == len(toy.trials)


def test_a_configuration_written_in_another_way_is_the_same_trial(toy: MetaDataset) -> None:
    def rewritten(text: str) -> str:
        return json.dumps(dict(reversed(json.loads(text).items())), indent=1)

    trials = toy.trials.assign(configuration=toy.trials["configuration"].map(rewritten))
    assert not (trials["configuration"] == toy.trials["configuration"]).any()
    assert_equal(MetaDataset(toy.tasks, trials, toy.meta_features, toy.spaces, name="toy"), toy)
    assert len(toy.append(toy.tasks, trials).trials) == len(toy.trials)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "of a configuration of the .* 'toy', but cannot be read"),
        ("[1]", "of a configuration of the .* 'toy', but holds no names"),
        (None, "must be a JSON text, but is"),
    ],
)
def test_a_configuration_that_is_no_json_object_is_refused(toy: MetaDataset, text: str | None, message: str) -> None:
    trials = toy.trials.copy()
    trials.loc[7, "configuration"] = text
    with pytest.raises(DataError, match=message):
        MetaDataset(toy.tasks, trials, None, toy.spaces)


def test_own_tasks_and_trials_are_appended(toy: MetaDataset) -> None:
    tasks = pd.DataFrame({"family": ["mine"], "kind": ["regression"]}, index=pd.Index(["mine"], name="task"))
    trial = {"space": "toy", "status": "success", "seconds": 1.0, "loss.r2": 0.5}
    configurations = ['{"mode": "plain", "rate": 0.5}', '{"mode": "plain", "rate": 0.25}']
    trials = pd.DataFrame([{**trial, "task": "mine", "configuration": c} for c in configurations])
    more = toy.append(tasks, trials)
    assert (len(more.tasks), len(more.trials)) == (13, len(toy.trials) + 2)
    mine = more.tables("toy")[-1]
    assert (mine.task, mine.family, mine.loss.tolist(), mine.meta_features) == ("mine", "mine", [0.5, 0.5], None)
    assert np.isnan(more.fold_losses("toy")["mine"]).all()  # it came without folds
    assert len(more.append(tasks, trials).trials) == len(more.trials)  # repeated, not added
    features = pd.DataFrame({"shift": [0.5]}, index=["mine"])
    described = toy.append(tasks, trials, features).tables("toy")[-1].meta_features
    assert described == pytest.approx({"shift": 0.5, "noise": np.nan, "unknown": np.nan}, nan_ok=True)
    assert more.drop(tasks=["mine"]).tables("toy")[0].task == "task0"


# --- split ----------------------------------------------------------------------------------------------------------


def of_families(families: list[int]) -> MetaDataset:
    """A meta-dataset whose tasks belong to these families, one trial each."""
    names = pd.Index([f"t{i}" for i in range(len(families))], name="task")
    tasks = pd.DataFrame({"family": [f"f{f}" for f in families], "kind": "regression"}, index=names)
    trials = pd.DataFrame({"task": names, "space": "other", "configuration": '{"x": 0.5}', "status": "success"})
    return MetaDataset(tasks, trials.assign(seconds=1.0, **{"loss.r2": 0.0}), None, {"other": OTHER})


some_families = st.lists(st.integers(0, 9), min_size=4, max_size=30).filter(lambda f: len(set(f)) >= 4)


@settings(max_examples=25, deadline=None)
@given(families=some_families, n_folds=st.integers(2, 4), seed=st.integers(0, 10))
def test_every_task_is_held_out_once_and_no_family_is_torn(families: list[int], n_folds: int, seed: int) -> None:
    md = of_families(families)
    held_out: list[str] = []
    pairs = list(md.folds(n_folds, seed))
    assert len(pairs) == n_folds
    for train, test in pairs:
        assert not set(train.tasks["family"]) & set(test.tasks["family"])
        assert set(train.tasks.index) | set(test.tasks.index) == set(md.tasks.index)
        assert set(test.trials["task"]) == set(test.tasks.index)
        held_out += list(test.tasks.index)
    assert sorted(held_out) == sorted(md.tasks.index)
    again = [list(test.tasks.index) for _, test in md.folds(n_folds, seed)]
    assert again == [list(test.tasks.index) for _, test in pairs]


@settings(max_examples=25, deadline=None)
@given(families=some_families, share=st.floats(0.05, 0.7), seed=st.integers(0, 10))
def test_split_holds_out_the_share_of_families_asked_for(families: list[int], share: float, seed: int) -> None:
    md = of_families(families)
    train, test = md.split(share, seed)
    assert not set(train.tasks["family"]) & set(test.tasks["family"])
    assert len(train.tasks) + len(test.tasks) == len(families)
    assert test.tasks["family"].nunique() == np.ceil(share * len(set(families)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda md: md.split(0.0), "between 0 and 1, but is 0.0"),
        (lambda md: md.split(1.5), "between 0 and 1, but is 1.5"),
        (lambda md: md.split(0.9), "leaves no family to train on: there are 2"),
        (lambda md: list(md.folds(3)), "3 folds need as many task families, but there are 2"),
        (lambda md: list(md.folds(1)), "at least 2 folds, but n_folds = 1"),
        (lambda md: md.split(random_state="x"), "random_state must be a whole number from 0 on"),
        (lambda md: list(md.folds(2, random_state=-1)), "random_state must be a whole number from 0 on"),
    ],
)
def test_impossible_splits_are_refused(call: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call(of_families([0, 0, 1, 1]))


def test_the_joint_space_holds_every_space(toy: MetaDataset) -> None:
    assert set(TWO.space(None)) == {"learner", *(f"toy:{n}" for n in toy_space()), "other:x"}
    assert TWO.encoder("other").columns == ("x",)
    assert toy.space("toy") == toy_space()


def test_tables_and_folds__r2_below_zero_counts_as_zero(toy: MetaDataset) -> None:
    assert max(np.nanmax(table.loss) for table in toy.tables("toy")) == 1.0
    assert max(np.nanmax(folds) for folds in toy.fold_losses("toy").values()) == 1.0
    assert toy.trials["loss.r2"].max() > 1.0


def test_half_losses__task_without_success_is_nan_and_a_single_fit_is_refused(toy: MetaDataset) -> None:
    trials = toy.trials.copy()
    of_task = trials["task"] == "task1"
    trials["folds.r2"] = [[] if own else losses for own, losses in zip(of_task, trials["folds.r2"], strict=True)]
    trials.loc[of_task, "loss.r2"], trials.loc[of_task, "status"] = np.nan, "crashed"
    halves = MetaDataset(toy.tasks, trials, toy.meta_features, toy.spaces).half_losses("toy", "r2")
    assert all(np.isnan(half).all() and len(half) == of_task.sum() for half in halves["task1"])
    assert np.isfinite(halves["task2"][0]).any()
    trials["folds.r2"] = [list(losses)[:1] for losses in toy.trials["folds.r2"]]
    with pytest.raises(DataError, match="two fits at least"):
        MetaDataset(toy.tasks, trials, toy.meta_features, toy.spaces).half_losses("toy", "r2")
