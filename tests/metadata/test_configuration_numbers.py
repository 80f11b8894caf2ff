"""Configurations are stored once a space, and come back beside their trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metahpo.exceptions import ArtefactError, DataError
from metahpo.metadata import release
from metahpo.metadata.configuration_numbers import ConfigurationNumbers, with_configurations
from metahpo.metadata.fit_losses import standard_errors
from metahpo.metadata.meta_dataset import MetaDataset


def test_numbers_run_over_blocks_and_come_back_as_texts() -> None:
    trials = pd.DataFrame(
        {
            "task": list("aabb"),
            "space": ["svm", "knn", "svm", "svm"],
            "configuration": ['{"C":1}', "{}", '{"C":1}', "{}"],
            "loss.r2": [0.1, 0.2, 0.3, 0.4],
        }
    )
    numbers = ConfigurationNumbers()
    stored = pd.concat(list(numbers.numbered([trials[:2], trials[2:]])))
    assert stored["configuration"].tolist() == [0, 1, 0, 2]
    assert numbers.table()["space"].tolist() == ["svm", "knn", "svm"]
    pd.testing.assert_frame_equal(with_configurations(stored, numbers.table()), trials)


@pytest.mark.parametrize("numbers", [[0, 3], [-1, 0], [0.0, 1.0], ["0", "1"]])
def test_numbers_without_a_configuration_are_refused(numbers: list[object]) -> None:
    table = pd.DataFrame({"space": ["svm"], "configuration": ["{}"]})
    with pytest.raises(DataError, match=r"numbers outside 0 \.\. 0"):
        with_configurations(pd.DataFrame({"task": ["a", "b"], "configuration": numbers}), table)


def test_a_release_of_an_older_format_is_read(toy: MetaDataset, tmp_path: Path) -> None:
    header: dict[str, Any] = {"name": "toy", "version": "1", "protocol": "", "metrics": toy.metrics}
    header["spaces"] = {name: space.to_serialized_dict() for name, space in toy.spaces.items()}
    release.write(tmp_path, header, [("tasks", [toy.tasks]), ("trials", [toy.trials])])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format_version": 1}))
    assert MetaDataset.load(tmp_path).trials["configuration"].equals(toy.trials["configuration"])


def test_a_damaged_table_of_configurations_is_an_error_with_its_folder(toy: MetaDataset, tmp_path: Path) -> None:
    header: dict[str, Any] = {"name": "toy", "version": "1", "protocol": "", "metrics": toy.metrics}
    header["spaces"] = {name: space.to_serialized_dict() for name, space in toy.spaces.items()}
    numbers = ConfigurationNumbers()
    stored = list(numbers.numbered([toy.trials]))
    tables = [("trials", stored), ("configurations", [numbers.table()[:1]]), ("tasks", [toy.tasks])]
    release.write(tmp_path, header, tables)
    with pytest.raises(ArtefactError, match=r"is damaged: trials name configurations by numbers outside 0 \.\. 0"):
        MetaDataset.load(tmp_path)


def test_standard_errors_are_those_of_numpy_over_the_known_fits() -> None:
    losses = np.array([[0.1, 0.4, 0.3, np.nan], [0.5, np.nan, np.nan, np.nan], [np.nan] * 4])
    expected = np.std([0.1, 0.4, 0.3], ddof=1) / np.sqrt(3)
    assert standard_errors(losses) == pytest.approx([expected, np.nan, np.nan], nan_ok=True)


def test_standard_errors_come_from_the_fits_where_no_other_were_recorded(toy: MetaDataset) -> None:
    fits = toy.fold_losses("toy")["task1"]
    assert toy.standard_errors("toy")["task1"] == pytest.approx(standard_errors(fits), nan_ok=True)
    bare = MetaDataset(toy.tasks, toy.trials.drop(columns="folds.r2"), None, toy.spaces)
    assert np.isnan(bare.standard_errors("toy")["task1"]).all()
    given = MetaDataset(toy.tasks, toy.trials.assign(**{"se.r2": 0.25}), None, toy.spaces)
    assert (given.standard_errors("toy")["task1"] == 0.25).all()
