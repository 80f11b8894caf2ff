"""Trials that take too long, or bring their process down, are failed trials."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from sklearn.exceptions import FitFailedWarning

from metahpo.search import MetaSearchCV
from tests.search.unruly import Moody


@pytest.mark.filterwarnings("ignore:One or more of the")
def test_a_trial_that_is_too_slow_or_dies_is_one_failed_trial() -> None:
    X, y = np.zeros((20, 1)), np.arange(20) % 2
    space = ConfigurationSpace({"mood": ["good", "slow", "deadly"]})
    search = MetaSearchCV(Moody(), space, n_trials=3, cv=2, trial_timeout=4.0, random_state=0)
    began = time.monotonic()
    with pytest.warns(FitFailedWarning, match="(?s)2 of 3 trials failed.*") as said:
        search.fit(X, y)
    assert time.monotonic() - began < 300
    told = str(next(warning.message for warning in said if warning.category is FitFailedWarning))
    assert "stopped after 4 s, the time that a trial may take" in told
    assert "its worker died 3 times" in told
    assert search.best_params_ == {"mood": "good"}
    failed = [
        p["mood"]
        for p, s in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True)
        if np.isnan(s)
    ]
    assert sorted(failed) == ["deadly", "slow"]


def test_a_trial_in_which_the_time_of_the_search_ends_is_not_made() -> None:
    X, y = np.zeros((20, 1)), np.arange(20) % 2
    space = ConfigurationSpace({"mood": ["good", "slow"]})  # the default comes first
    search = MetaSearchCV(Moody(), space, n_trials=2, cv=2, timeout=4.0, trial_timeout=600.0, random_state=0)
    began = time.monotonic()
    search.fit(X, y)
    assert time.monotonic() - began < 300
    assert search.cv_results_["params"] == [{"mood": "good"}]
