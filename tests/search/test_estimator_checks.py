"""scikit-learn's own checks of estimators: a search passes all of them, as GridSearchCV does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from metahpo.search import MetaSearchCV


@pytest.mark.filterwarnings("ignore")  # the checks give data that no model can learn from
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        MetaSearchCV(SVC(), "svm", n_trials=1, cv=2, random_state=0),
        MetaSearchCV(SVC(), "svm", n_trials=1, cv=2, warm_start=False, random_state=0),
    ]
)
def test_estimator_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
