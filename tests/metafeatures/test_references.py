"""Meta-features of scikit-learn's bundled datasets against stored values, so that no change goes unnoticed.

The tolerance covers linear algebra libraries and tie-breaking among equally good splits, nothing more. After a
deliberate change, write the file anew and say in the changelog which meta-features moved:

    python tests/metafeatures/test_references.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from metahpo.metafeatures.extraction import META_FEATURES, extract
from metahpo.tasks.task import Task

REFERENCES = Path(__file__).parent.parent / "references" / "metafeatures.json"
LOADERS = {
    "breast_cancer": load_breast_cancer,
    "diabetes": load_diabetes,
    "digits": load_digits,
    "iris": load_iris,
    "wine": load_wine,
}
LANDMARKS = {feature.name for feature in META_FEATURES if feature.group == "landmarking"}


def compute(dataset: str) -> dict[str, float]:
    return dict(extract(Task.from_arrays(*LOADERS[dataset](return_X_y=True))).values)


@pytest.mark.parametrize("dataset", LOADERS)
def test_values_equal_the_stored_ones(dataset: str) -> None:
    stored = json.loads(REFERENCES.read_text())[dataset]
    found = compute(dataset)
    assert list(found) == list(stored)
    for name, value in found.items():
        expected = float("nan") if stored[name] is None else stored[name]
        tolerance = 0.02 if name in LANDMARKS else 1e-9
        assert value == pytest.approx(expected, rel=1e-7, abs=tolerance, nan_ok=True), name


def write() -> None:
    table = {
        dataset: {name: None if value != value else value for name, value in compute(dataset).items()}
        for dataset in LOADERS
    }
    REFERENCES.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    write()
