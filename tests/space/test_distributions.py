"""Search spaces as the distributions and lists of scikit-learn's searches."""

from __future__ import annotations

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer, OrdinalHyperparameter
from scipy import stats
from sklearn.model_selection import ParameterSampler

from metahpo.space.comparison import difference
from metahpo.space.distributions import from_distributions, to_distributions


def test_spaces_of_every_kind_convert_both_ways() -> None:
    space = ConfigurationSpace()
    space.add(
        Float("rate", (1e-4, 1.0), log=True),
        Float("share", (-1.0, 1.0)),
        Integer("depth", (1, 9)),
        OrdinalHyperparameter("size", [16, 32, 64]),
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


def test_what_a_space_cannot_say_is_reported() -> None:
    space = ConfigurationSpace()
    space.add(Integer("width", (1, 512), log=True))
    assert to_distributions(space).changed == {"width": "its log scale is lost"}
    read = from_distributions(
        {
            "C": stats.loguniform(1e-2, 1e2),
            "noise": stats.norm(0, 1),
            "shape": stats.beta(2, 3),
            "steps": stats.poisson(4),
            "word": "auto",
            "call": max,
            "empty": [],
        }
    )
    assert read.changed["noise"].startswith("uniform, not norm; bounded")
    assert read.changed["shape"] == "uniform, not beta"
    assert set(read.changed) == {"noise", "shape", "steps"}
    assert read.space["noise"].upper == pytest.approx(3.09, abs=0.01)
    assert (read.space["steps"].lower, read.space["steps"].upper) == (0, 11)
    assert set(read.left_out) == {"word", "call", "empty"}
    assert "left out: word" in str(read)
