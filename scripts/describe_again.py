"""Compute the meta-features of a meta-dataset anew, after their definitions have changed; then train it again."""

import argparse
from pathlib import Path

from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.workflows.redescription import describe_again

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="meta-dataset, by folder or name; it is replaced when the new one is whole")
    parser.add_argument("--cache", type=Path, required=True, help="dataset cache with the datasets of its tasks")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    folder = release.locate(options.folder)
    changed = describe_again(MetaDataset.load(folder), options.cache, options.jobs)
    changed.save(folder)
    print(f"{folder}: {0 if changed.meta_features is None else changed.meta_features.shape[1]} meta-features")
