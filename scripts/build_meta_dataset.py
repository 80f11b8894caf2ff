"""Tune learners over many tasks and record every trial: the same call as `metahpo build`."""

import sys

from metahpo.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["build", *sys.argv[1:]]))
