"""The main job in one command, offline: recommend for tables never seen, and search from experience and without."""

import argparse
from pathlib import Path

from metahpo.evaluation.demonstration import demonstrate
from metahpo.tasks.bundled import bundled_task

#: Tables, and learners that take seconds on them; what takes longest comes first.
CASES = (
    ("friedman1", "boosting"),
    ("diabetes", "random_forest"),
    ("diabetes", "boosting"),
    ("diabetes", "svm"),
    ("breast_cancer", "svm"),
    ("breast_cancer", "linear"),
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", help="one bundled dataset (default: three, one of them with 8,000 rows)")
    parser.add_argument("--learners", nargs="+", default=["svm", "boosting"], help="for --dataset")
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument(
        "--jobs", type=int, default=-1, help="tables and learners that run at once (default: all cores)"
    )
    parser.add_argument("--out", type=Path, default=Path("demo"))
    options = parser.parse_args()
    chosen = [(options.dataset, learner) for learner in options.learners] if options.dataset else CASES
    cases = [(bundled_task(dataset), learner) for dataset, learner in chosen]
    demonstration = demonstrate(cases, n_trials=options.trials, n_jobs=options.jobs)
    print(demonstration)
    print("\n".join(["", *demonstration.findings(), ""]))
    print("written:", *demonstration.save(options.out))
