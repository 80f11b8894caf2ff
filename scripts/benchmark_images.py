"""`convnet` at its default configuration on images: accuracy on held-out images, and seconds.

Digits (8 x 8, scikit-learn's): 5-fold cross-validation, stratified, shuffled with seed 0. An image dataset of a cache:
80 % to learn from, 20 % to judge by, stratified, with seed 0. One thread.
"""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split

from metahpo.datasets.cache import read_task
from metahpo.networks.convnet.convnet_classifier import ConvNetClassifier


def digits(epochs: int | None) -> None:
    """Print accuracy on scikit-learn's digits."""
    X, y = load_digits(return_X_y=True)
    start, hits = perf_counter(), []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        model = classifier(epochs).fit(X[train], y[train])
        hits.append(model.predict(X[test]) == y[test])
    print(f"digits: accuracy {np.concatenate(hits).mean():.4f}, {perf_counter() - start:.0f} s", flush=True)


def cached(cache: Path, key: str, epochs: int | None) -> None:
    """Print accuracy on an image dataset of a cache."""
    task = read_task(cache, key)
    rows = np.arange(task.n_rows)
    train, test = train_test_split(rows, test_size=0.2, stratify=task.y, random_state=0)
    start = perf_counter()
    model = classifier(epochs).fit(task.X.iloc[train], task.y[train])
    accuracy = model.score(task.X.iloc[test], task.y[test])
    print(f"{task.name}: accuracy {accuracy:.4f}, {perf_counter() - start:.0f} s", flush=True)


def classifier(epochs: int | None) -> ConvNetClassifier:
    """The default, with another number of epochs where one is given."""
    model = ConvNetClassifier(random_state=0, device="auto")
    return model if epochs is None else model.set_params(epochs=epochs)


def main() -> None:
    """Print a line a dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder of cached datasets")
    parser.add_argument("--keys", nargs="+", default=[], help="image datasets of it")
    parser.add_argument("--epochs", type=int, help="instead of the default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    digits(arguments.epochs)
    for key in arguments.keys:
        cached(arguments.cache, key, arguments.epochs)


if __name__ == "__main__":
    main()
