"""The main job in one command, offline: recommend for a dataset never seen, and search from experience and without."""

import argparse
import warnings
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning

from metahpo.datasets.bundled import bundled_task
from metahpo.workflows.demonstration import demonstrate

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="breast_cancer", help="a bundled dataset (default: breast_cancer)")
    parser.add_argument("--learners", nargs="+", default=["svm", "boosting"])
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # a configuration that does not converge is part of a search
    demonstration = demonstrate(bundled_task(options.dataset), options.learners, n_trials=options.trials)
    print(demonstration)
    print("\n".join(["", *demonstration.findings(), ""]))
    print("written:", *demonstration.save(options.out))
