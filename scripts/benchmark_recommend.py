"""How long a recommendation takes on one core, and how much memory: in a fresh process, and then for three sizes.

    python scripts/benchmark_recommend.py
    python scripts/benchmark_recommend.py --sizes 1000x20 10000x50 --learner svm --repeats 9

The first call is measured in processes of its own, from their start to their end, imports included: the least of
several. Beside it stands a process that only imports the libraries that a recommendation needs: no first call can be
quicker. Then, for each size of a table of numbers, and of a sparse matrix, in one process: the median of several calls,
the seconds of their parts, and the most memory that a call takes beside the data, in units of the data (of a sparse
matrix: of its non-zeros). NumPy and pandas report their memory to tracemalloc, which is used in a call of its own,
because it slows it down. What compiled libraries take besides is told by the growth of the process's largest resident
set, in units of the data as well.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

#: Libraries read these when they are loaded; processes that are started inherit them.
ONE_CORE = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}

FIRST_CALL = (
    "import numpy as np, metahpo; X = np.random.default_rng(0).standard_normal((1000, 20)); "
    "metahpo.recommend(X, (X[:, 0] > 0).astype(int), learner={learner!r})"
)


#: Libraries that a first call needs.
LIBRARIES = "import torch, pandas, ConfigSpace, sklearn.ensemble"


def process_seconds(program: str, repeats: int) -> float:
    """Least wall-clock seconds of a process that runs a program."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def table(n_rows: int, n_columns: int, *, sparse: bool) -> tuple[Any, Any, int]:
    """Rows, labels, and the bytes of the rows; of sparse rows one cell in a hundred is not zero."""
    import numpy as np
    from scipy.sparse import csr_array, random_array

    rng = np.random.default_rng(0)
    if sparse:
        X = csr_array(random_array((n_rows, n_columns), density=0.01, rng=rng))
        return X, rng.integers(0, 2, n_rows), X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    dense = rng.standard_normal((n_rows, n_columns))
    return dense, (dense[:, 0] + rng.standard_normal(n_rows) > 0).astype(int), dense.nbytes


def resident_bytes() -> int:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(n_rows: int, n_columns: int, learner: str | None, repeats: int, *, sparse: bool) -> str:
    """What to print of one size."""
    import metahpo

    X, y, size = table(n_rows, n_columns, sparse=sparse)
    before, seconds = resident_bytes(), []
    for _ in range(repeats):
        start = time.perf_counter()
        metahpo.recommend(X, y, learner=learner)
        seconds.append(time.perf_counter() - start)
    grown = resident_bytes() - before
    tracemalloc.start()
    metahpo.recommend(X, y, learner=learner)
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (
        f"{n_rows:9,d} x {n_columns:<6d}{'sparse' if sparse else '':7s} {1000 * statistics.median(seconds):7.0f} ms, "
        f"memory {traced / size:5.2f} of {size / 2**20:.1f} MiB (resident set grew by {grown / size:.2f})"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for the first call, and one for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1000x20", "10000x50", "1000000x50"], help="ROWSxCOLUMNS")
    parser.add_argument("--sparse", nargs="*", default=["100000x1000"], help="sizes of sparse matrices")
    parser.add_argument("--learner", default="boosting", help="name of a learner, or `all`")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    learner = None if options.learner == "all" else options.learner
    os.environ.update(ONE_CORE)  # nothing is loaded yet
    first = process_seconds(FIRST_CALL.format(learner=learner), options.repeats)
    print(f"first call of a process        {first:7.2f} s")
    print(f"libraries of a first call      {process_seconds(LIBRARIES, options.repeats):7.2f} s")
    import numpy as np

    import metahpo

    warm = np.random.default_rng(0).standard_normal((200, 3))
    metahpo.recommend(warm, (warm[:, 0] > 0).astype(int), learner=learner)  # loads what all calls need
    for sizes, sparse in ((options.sizes, False), (options.sparse, True)):
        for n_rows, n_columns in (map(int, size.split("x")) for size in sizes):
            print(measure(n_rows, n_columns, learner, options.repeats, sparse=sparse))


if __name__ == "__main__":
    main()
