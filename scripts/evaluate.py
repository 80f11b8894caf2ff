"""Measure methods on task families held out of training: the same call as `metahpo evaluate`."""

import sys

from metahpo.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["evaluate", *sys.argv[1:]]))
