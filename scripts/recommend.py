"""Recommend hyperparameters for a table: the same call as `metahpo recommend`."""

import sys

from metahpo.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["recommend", *sys.argv[1:]]))
