"""Search spaces as the distributions and lists of scikit-learn's searches."""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer, OrdinalHyperparameter
from scipy import stats
from sklearn.model_selection import ParameterSampler

from metahpo.integrations.sklearn import from_distributions, to_distributions
from metahpo.space.space_comparison import difference


def test_spaces_of_every_kind_convert_both_ways() -> None:
    space = ConfigurationSpace()
    space.add(
        Float("rate", (1e-4, 1.0), log=True),
        Float("share", (-1.0, 1.0)),
        Integer("depth", (1, 9)),
        Categorical("layers", [(8, 8), (16,), None]),
        Constant("kind", "k"),
    )
    there = to_distributions(space)
    assert there.exact
    (drawn,) = ParameterSampler(there.space, 1, random_state=0)
    assert set(drawn) == set(space)
    back = from_distributions(there.space)
    assert back.exact
    assert difference(space, back.space) is None


def test_what_is_lost_is_reported() -> None:
    space = ConfigurationSpace()
    space.add(Integer("width", (1, 512), log=True), OrdinalHyperparameter("size", [16, 32, 64]))
    assert to_distributions(space).changed == {
        "width": "its log scale is lost",
        "size": "the order of its values is lost",
    }
    given = {"C": stats.loguniform(1e-2, 1e2), "shape": stats.beta(2, 3), "word": "auto", "call": max, "empty": []}
    read = from_distributions(given)
    assert list(read.changed) == ["shape"]
    assert set(read.left_out) == {"word", "call", "empty"}
    assert "left out: word" in str(read)
    assert set(read.space) == {"C", "shape"}
