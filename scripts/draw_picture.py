"""Draw the picture of the README: regret over trials on recorded tasks of families that no method learnt from.

`python scripts/draw_picture.py`: the experience with regression that ships, and every learner. Every method begins with
the library's default. It takes about five minutes on two cores.
"""

import argparse
from pathlib import Path

from PIL import Image

from metahpo import MetaDataset, evaluate

METHODS = ["metahpo", "portfolio", "gaussian_process", "random_search"]


def main() -> None:
    """Evaluate, draw, and print what is drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experience", default="tabular_regression", help="meta-dataset, by folder or name")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("docs/_static/regret.png"))
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    md = MetaDataset.load(options.experience)
    report = evaluate(
        md, METHODS, spaces=options.learners, n_trials=options.trials, n_jobs=options.jobs, random_state=0
    )
    report.figures()["regret"].save(options.out)
    with Image.open(options.out) as drawn:
        small = drawn.quantize(64)
    small.save(options.out, optimize=True)
    print(report.intervals(report.milestones).to_string(index=False, float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
