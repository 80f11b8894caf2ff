"""Whether the statistics of reports keep what they promise, in simulated evaluations.

`python scripts/check_statistics.py`: 10,000 evaluations of two equal methods, and as many with a planted lead; families
of one to three tasks that share a deviation. Printed are the share of evaluations in which the signed-rank test finds a
difference at 5 %, in which the bootstrap interval holds the truth, and in which the Bayesian test is sure (0.95).
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from metahpo.evaluation.ranking import signed_rank_p
from metahpo.evaluation.statistics.bayesian import signed_rank_probabilities
from metahpo.evaluation.statistics.bootstrap import interval, resampled_means


def simulated(
    rng: np.random.Generator, n_families: int, lead: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Totals of differences (F,), and numbers of tasks (F,)."""
    n_tasks = rng.integers(1, 4, n_families)
    shared = lead + rng.normal(0.0, 0.1, n_families)
    totals = n_tasks * shared + np.sqrt(n_tasks) * rng.normal(0.0, 0.05, n_families)
    return totals, n_tasks.astype(np.float64)


def main() -> None:
    """Print a row a lead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=10_000)
    parser.add_argument("--families", type=int, default=40)
    parser.add_argument("--leads", type=float, nargs="+", default=[0.0, 0.03, 0.06])
    parser.add_argument("--resamples", type=int, default=400)
    options = parser.parse_args()
    print(f"{'lead':>6s}{'found at 5 %':>14s}{'interval holds':>16s}{'Bayesian sure':>15s}")
    for lead in options.leads:
        rng = np.random.default_rng(0)
        found, held, sure = 0, 0, 0
        for world in range(options.worlds):
            totals, counts = simulated(rng, options.families, lead)
            found += signed_rank_p(totals / counts) < 0.05
            means = resampled_means(totals[None, :, None], counts[:, None], options.resamples, world)
            low, high = interval(means, options.families)
            held += low[0] <= lead <= high[0]
            sure += signed_rank_probabilities(totals / counts, 0.0, 200, world)[2] > 0.95
        print(f"{lead:6.2f}" + "".join(f"{n / options.worlds:{width}.3f}" for n, width in
                                       ((found, 14), (held, 16), (sure, 15))), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
