"""Add to a meta-dataset the sketches of rows by which its datasets are recognised."""

import argparse
from pathlib import Path

from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.cost import CostModel, cost_path
from metahpo.workflows.redescription import sketch_again

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folders", nargs="+", help="meta-datasets, by folder or name; each is replaced when it is whole"
    )
    parser.add_argument("--cache", type=Path, required=True, help="dataset cache with the datasets of their tasks")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    for folder in map(release.locate, options.folders):
        changed = sketch_again(MetaDataset.load(folder), options.cache, options.jobs)
        changed.save(folder)
        for space in (*changed.spaces, None):
            path = cost_path(folder, space)
            cost = CostModel.of(changed, space) if path.is_file() else None
            if cost is not None:  # a stored model is of the tables that it was fitted on
                cost.save(path, release.tables_checksum(folder))
        print(f"{folder}: {len(changed.tasks)} tasks")
