"""Run every benchmark and experiment once with small arguments: `python scripts/smoke_benchmarks.py`.

The numbers that they print at these sizes say nothing. The exit status is 1 if one of them fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from metahpo.datasets.cache import write_task

SCRIPTS = Path(__file__).parent
#: Benchmark or experiment -> its small arguments. CACHE stands for the folder of a dataset cache.
SMALL = {
    "benchmark_asks": ["--asks", "1", "--methods", "metahpo cold", "metahpo warm"],
    "benchmark_batched_training": ["--models", "4", "--epochs", "1", "--parts", "1"],
    "benchmark_builder": ["--trials", "20"],
    "benchmark_cold": ["--seeds", "1", "--functions", "branin", "--methods", "metahpo", "--out", "CACHE/cold.jsonl"],
    "benchmark_images": ["--epochs", "1"],
    "benchmark_latency": ["--rows", "300", "--suggestions", "2"],
    "benchmark_metafeatures": ["--size", "200", "5"],
    "benchmark_million": ["20000"],
    "benchmark_mlp": ["CACHE", "--tasks", "1"],
    "benchmark_recommend": ["--sizes", "200x3", "--sparse", "--repeats", "1"],
    "benchmark_spaces": ["--hyperparameters", "5", "--trials", "6"],
    "benchmark_store": ["2000"],
    "benchmark_texts": ["CACHE", "texts"],
    "benchmark_workers": ["--trials", "2", "--seconds", "0.01", "--backend", "threading"],
    "benchmark_training": ["--size", "4", "12", "2"],
    "try_hypergradients": ["--out", "CACHE/hyper.jsonl", "--tables", "hastie", "--trials", "1", "--more", "1"],
    "try_learnt_policy": [
        *("--folder", "CACHE/policy", "--train-on", "tabular_regression/knn", "--judge-on", "--seeds", "1"),
        *("--folds", "2", "--trials", "5", "--steps", "1", "--tasks", "2", "--searches", "2", "--quick"),
    ],
}


def write_cache(folder: Path) -> None:
    """Write a table to classify, a table to regress, and texts."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 3))
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    words = [" ".join([*rng.choice(["one", "two", "three"], 4), "sun" if x > 0 else "rain"]) for x in X[:, 0]]
    for key, kind, frame, target in (
        ("classes", "classification", table, X[:, 0] > 0),
        ("numbers", "regression", table, X[:, 0] + X[:, 1]),
        ("texts", "text", pd.DataFrame({"said": words}), X[:, 0] > 0),
    ):
        about = {
            "name": key,
            "kind": kind,
            "family": key,
            "n_rows": len(frame),
            "n_features": frame.shape[1],
            "n_classes": None if kind == "regression" else 2,
            "categorical": ["said"] if kind == "text" else [],
        }
        write_task(folder, key, frame.assign(target=target), "target", about)


def main() -> int:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=sorted(SMALL), help="default: all")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        write_cache(Path(folder))
        for name in parser.parse_args().names:
            arguments = [argument.replace("CACHE", folder) for argument in SMALL[name]]
            print(f"== {name} {' '.join(arguments)}", flush=True)
            if subprocess.run([sys.executable, str(SCRIPTS / f"{name}.py"), *arguments], check=False).returncode:
                failed.append(name)
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
