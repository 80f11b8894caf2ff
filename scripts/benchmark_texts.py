"""`text` at its default configuration on cached text datasets: accuracy on held-out texts, and seconds.

80 % to learn from, 20 % to judge by, stratified, with seed 0. One thread.
"""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from metahpo.datasets.cache import read_task
from metahpo.networks.text.text_classifier import ENCODERS, TextClassifier


def main() -> None:
    """Print a line a dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder of cached datasets")
    parser.add_argument("keys", nargs="+", help="text datasets of it")
    parser.add_argument("--encoder", choices=ENCODERS, default="mean")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for key in arguments.keys:
        task = read_task(arguments.cache, key)
        train, test = train_test_split(np.arange(task.n_rows), test_size=0.2, stratify=task.y, random_state=0)
        start = perf_counter()
        model = TextClassifier(encoder=arguments.encoder, random_state=0, device="auto")
        model.fit(task.X.iloc[train], task.y[train])
        accuracy = model.score(task.X.iloc[test], task.y[test])
        print(f"{task.name}: accuracy {accuracy:.4f}, {perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
