"""`python -m metahpo COMMAND`: the command line without its script."""

from __future__ import annotations

from metahpo.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
