"""Train the surrogates of a meta-dataset: the same call as `metahpo train`."""

import sys

from metahpo.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["train", *sys.argv[1:]]))
