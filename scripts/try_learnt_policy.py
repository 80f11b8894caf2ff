"""Compare an acquisition policy that reinforcement learning trains with expected improvement.

`python scripts/try_learnt_policy.py --folder FOLDER` replays searches on the recorded tasks of several learners, and
prints regrets of both, and their paired differences. The surrogate of a task knows no task of its family. Surrogates
are kept in the folder. On one core they take 10 minutes, and each seed takes 4 to 9 minutes.

A policy gives each untried configuration x the value

    v(x) = b log EI(x) + f(x)

where EI is the expected improvement, b a learnt positive number, and f a small network. Its inputs depend neither on
the search space nor on the scale of losses (see `Replayed.state`). Training starts at f = 0, where the highest value is
that of expected improvement. In training, configurations are drawn with probabilities proportional to exp(v); in
judgement, the highest value is taken. REINFORCE (Williams, 1992) minimises the normalised regret, averaged over the
trials of a search. The baseline of a search is the mean of the other searches of the same task (Kool et al., 2019).

For each seed, the families are halved at random. Tasks of the one half train the policy, of the learners under
`--train-on` only. It is judged on the tasks of the other half, of all learners.

Symbols: B searches of one task at once, n trials so far, m configurations left, J components, T source tasks.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from metahpo.evaluation.pool import PoolOptimizer
from metahpo.evaluation.quick import TRAINING
from metahpo.evaluation.regret import mean_regret, normalised_regret, regret_so_far
from metahpo.evaluation.statistics.pairs import paired_comparison
from metahpo.metadata.families import family_folds, family_groups
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.artefact import load_surrogate
from metahpo.surrogates.fitting.training import TrainingSettings, train_surrogate
from metahpo.surrogates.fitting.training_batches import informative
from metahpo.surrogates.mixture.meta_learned import INCUMBENT_BEFORE_TRIALS, MetaLearnedSurrogate
from metahpo.surrogates.mixture.mixture import Losses
from metahpo.surrogates.mixture.source_functions import source_features_at

TRAINED_ON = (
    "tabular_classification/svm",
    "tabular_classification/boosting",
    "tabular_regression/random_forest",
    "tabular_regression/lightgbm",
)
ALSO_JUDGED_ON = (
    "tabular_classification/random_forest",
    "tabular_regression/svm",
    "tabular_regression/boosting",
    "networks_classification/mlp",
)
MILESTONES = (1, 5, 10, 15, 25)
#: Names of the two methods in tables.
LEARNT, IMPROVEMENT = "learnt policy", "expected improvement"
#: Differences of log EI are cut off here, and improvements that underflow are taken for this small.
LEAST_LOG, TINY_IMPROVEMENT = -10.0, 1e-30
#: Logarithm of b where training starts: draws are near the highest value, but differ.
FIRST_LOG_FACTOR = 2.0
#: Inputs of the network: of each configuration, and of the search.
N_OWN, N_COMMON = 12, 5


@dataclass(frozen=True)
class State:
    """What B searches see before their next trial: rows left (B, m), inputs (B, m, d), log EI below the highest."""

    left: Tensor
    inputs: Tensor
    log_improvement: Tensor


class Replayed:
    """A recorded task to be searched, with a surrogate that knows no task of its family.

    What the surrogate says of any set of trials is computed from covariances of all configurations, once computed.
    """

    def __init__(self, space: str, table: TaskTable, surrogate: MetaLearnedSurrogate) -> None:
        self.space, self.table = space, table
        self._loss, self._regret = torch.from_numpy(table.loss), normalised_regret(table.loss)
        on = surrogate.on(table.meta_features)
        self._mixture, self._log_prior = on.mixture, on.log_prior
        at = source_features_at(on.functions.at(torch.from_numpy(table.X)), on.alpha)
        self._at, self._K, self._known = at, on.mixture.covariances(at, at), on.mixture.diagonals(at)
        shares = torch.softmax(on.log_prior.flatten(), 0).reshape(on.log_prior.shape)
        covariance = torch.einsum("j,jnm->nm", shares.sum(1), self._K)
        scale = covariance.diagonal().sqrt()
        self._correlation = covariance / (scale[:, None] * scale)
        varying = torch.from_numpy(table.X[:, np.ptp(table.X, axis=0) > 0.0])
        self._distance = torch.cdist(varying, varying)
        self._distance /= self._distance.median()
        components = on.mixture.components
        d = at.deviations.T
        own_mean = components.mean_slope[:, None, None] * at.mean.T + components.slope[:, None, None] * d
        own_variance = self._known[:, None] + components.log_slope_variance.exp()[:, None, None] * d.square()
        self._first = own_mean, own_variance
        self._first_mean = torch.einsum("jt,jtm->m", shares, own_mean).float()

    def _hypotheses(self, tried: Tensor, left: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log weights and incumbents (B, J, T), means and improvement variances (B, J, T, m): see `Mixture.predict`."""
        n_searches, n = tried.shape
        if not n:
            weights = self._log_prior.expand(n_searches, -1, -1)
            mean, variance = (part.expand(n_searches, -1, -1, -1) for part in self._first)
            return weights, torch.full_like(weights, INCUMBENT_BEFORE_TRIALS), mean, variance
        K = self._K[:, tried].movedim(0, 1)  # (B, J, n, all)
        rows = tried[:, None, None, :].expand(-1, K.shape[1], n, -1)
        given = self._mixture.condition(self._at[tried], K.gather(3, rows), Losses.standardise(self._loss[tried]))
        K = K.gather(3, left[:, None, None, :].expand(-1, K.shape[1], n, -1))
        # The precision of the predictions is single, as in the package.
        Q = torch.linalg.solve_triangular(given.factor, K, upper=False).float()
        of_deviations, of_residual, of_one = (
            part.float().transpose(-1, -2) @ Q for part in (given.deviations, given.residual, given.one)
        )
        slope_variance, slope_correction, slope_per_shift, precision = (
            part[..., None].float()
            for part in (given.slope_variance, given.slope_correction, given.slope_per_shift, given.shift_precision)
        )
        mean_slope, slope = (
            part[:, None, None].float()
            for part in (self._mixture.components.mean_slope, self._mixture.components.slope)
        )
        d = self._at.deviations[left].transpose(-1, -2)[:, None].float()
        mu = self._at.mean[left].transpose(-1, -2)[:, None].float()
        ahead = d - of_deviations
        mean = of_residual + mean_slope * mu + slope * d + ahead * slope_correction
        share_of_c = of_one + ahead * slope_per_shift
        known = self._known[:, left].movedim(0, 1).float() - Q.square().sum(-2)
        known_c = ahead.square() * slope_variance + known[:, :, None]
        variance = (1.0 - share_of_c).square() / precision + known_c
        return self._log_prior + given.log_evidence, given.incumbent, mean, variance

    def state(self, tried: Tensor, n_trials: int) -> State:
        """What searches see after the trials `tried` (B, n), of `n_trials` that they may make."""
        n_searches, n = tried.shape
        untried = torch.ones(n_searches, len(self._loss), dtype=torch.bool).scatter(1, tried, False)
        left = untried.nonzero()[:, 1].reshape(n_searches, -1)
        log_weights, incumbents, means, variances = self._hypotheses(tried, left)
        weights = torch.softmax(log_weights.flatten(1), 1)
        incumbent = (weights * incumbents.flatten(1)).sum(1, keepdim=True).float()
        means, stds = means.flatten(1, 2).float(), variances.flatten(1, 2).float().clamp_min(1e-12).sqrt()
        weights = weights.float()
        u = (incumbents.flatten(1)[..., None].float() - means) / stds
        h = torch.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi) + u * torch.special.ndtr(u)
        log_ei = torch.einsum("bs,bsm->bm", weights, stds * h).clamp_min(TINY_IMPROVEMENT).log()
        best_log_ei = log_ei.amax(1, keepdim=True)
        mean = torch.einsum("bs,bsm->bm", weights, means)
        between = torch.einsum("bs,bsm->bm", weights, (means - mean[:, None]).square()).sqrt()
        std = (torch.einsum("bs,bsm->bm", weights, stds.square()) + between.square()).sqrt()
        if n:
            best = tried.gather(1, self._loss[tried].argmin(1, keepdim=True))
            to_best = self._correlation[left, best]
            to_trials = self._correlation[left[:, :, None], tried[:, None]].amax(2)
            nearest = self._distance[left[:, :, None], tried[:, None]].amin(2)
        else:
            to_best, to_trials, nearest = torch.zeros_like(mean), torch.zeros_like(mean), torch.ones_like(mean)
        own = [
            (log_ei - best_log_ei).clamp_min(LEAST_LOG) / 3.0,
            log_ei.argsort(1).argsort(1) / left.shape[1] - 0.5,
            ((mean - incumbent) / std).clamp(-4.0, 4.0),
            standard(mean),
            standard(std),
            std.log(),
            between / std,
            to_best,
            to_trials,
            3.0 * (untried.double() @ self._correlation).gather(1, left) / left.shape[1],
            nearest.clamp_max(3.0),
            (mean - self._first_mean[left]).clamp(-3.0, 3.0),
        ]
        share = torch.full_like(incumbent, n / n_trials)
        entropy = -(weights * weights.clamp_min(1e-12).log()).sum(1, keepdim=True) / 3.0
        common = [incumbent.clamp(-3.0, 3.0), best_log_ei / 5.0, entropy, share, torch.full_like(share, float(n == 0))]
        inputs = torch.stack([*own, *(value.expand_as(mean) for value in common)], dim=2)
        return State(left, inputs.float(), (log_ei - best_log_ei).clamp_min(LEAST_LOG).float())

    def found_by(self, tried: Tensor) -> bool:
        """Whether each of B searches has tried a best row."""
        return bool((self._loss[tried] == self._loss.min()).any(1).all())

    def regrets(self, tried: Tensor, n_trials: int) -> NDArray[np.float64]:
        """Normalised regret of the incumbent after 1 .. `n_trials` trials of B searches, shape (B, n_trials)."""
        return np.stack([regret_so_far(self._regret[t], self.table.loss[t], n_trials) for t in tried.numpy()])


def standard(values: Tensor) -> Tensor:
    """Values (B, m) with mean 0 and variance 1 in each row."""
    centred = values - values.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True).sqrt() + 1e-6)


class LearntPolicy(nn.Module):
    """Values of configurations: see the top of the file. A new policy is expected improvement."""

    def __init__(self, n_hidden: int = 16) -> None:
        super().__init__()
        last = nn.Linear(n_hidden, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.log_factor = nn.Parameter(torch.tensor(FIRST_LOG_FACTOR))
        self.network = nn.Sequential(nn.Linear(N_OWN + N_COMMON, n_hidden), nn.Tanh(), last)

    def forward(self, state: State) -> Tensor:
        """Values of the rows left, shape (B, m)."""
        values: Tensor = self.log_factor.exp() * state.log_improvement + self.network(state.inputs)[..., 0]
        return values


@torch.no_grad()
def search(
    task: Replayed, policy: LearntPolicy, n_trials: int, n_searches: int = 1, generator: torch.Generator | None = None
) -> tuple[Tensor, list[State], list[Tensor]]:
    """Trials of searches (B, n_trials), the state before each trial, and the place (B, 1) of the row that was taken.

    A generator: rows are drawn. Searches end early where all have found the best row.
    """
    tried = torch.empty(n_searches, 0, dtype=torch.int64)
    states, places = [], []
    for _ in range(min(n_trials, len(task.table.loss) - 1)):
        state = task.state(tried, n_trials)
        values = policy(state)
        if generator is None:
            place = values.argmax(1, keepdim=True)
        else:
            place = torch.multinomial(torch.softmax(values, 1), 1, generator=generator)
        states.append(state)
        places.append(place)
        tried = torch.cat([tried, state.left.gather(1, place)], dim=1)
        if task.found_by(tried):
            break
    return tried, states, places


def train_policy(
    tasks: Sequence[Replayed], n_trials: int, n_steps: int, n_tasks: int, n_searches: int, random_state: int
) -> LearntPolicy:
    """Train a policy by REINFORCE: `n_steps` steps, each on `n_searches` searches of `n_tasks` tasks."""
    torch.manual_seed(random_state)
    generator, rng = torch.Generator().manual_seed(random_state), np.random.default_rng(random_state)
    policy = LearntPolicy()
    optimiser = torch.optim.Adam(policy.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    drawn: list[float] = []
    for _ in tqdm(range(n_steps), desc=f"policy {random_state}", disable=None):
        gain, scale = torch.zeros(()), []
        for i in rng.choice(len(tasks), n_tasks):
            tried, states, places = search(tasks[i], policy, n_trials, n_searches, generator)
            curves = tasks[i].regrets(tried, n_trials)
            drawn.append(float(curves.mean()))
            # A pick answers for the regret from its own trial on.
            ahead = curves[:, ::-1].cumsum(1)[:, ::-1]
            advantage = torch.from_numpy((ahead.sum(0) - ahead) / (n_searches - 1) - ahead).float()
            scale.append(advantage.square().mean())
            for state, place, worth in zip(states, places, advantage.T, strict=False):
                if worth.any():
                    gain = gain + (torch.log_softmax(policy(state), 1).gather(1, place)[:, 0] * worth).sum()
        optimiser.zero_grad()
        torch.autograd.backward(-gain / (n_tasks * n_searches * (torch.stack(scale).mean().sqrt() + 1e-6)))
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    quarter = -(-len(drawn) // 4)
    print(
        f"policy {random_state}: mean regret of the searches that were drawn, in the four quarters of the training: "
        + ", ".join(f"{np.mean(drawn[i : i + quarter]):.4f}" for i in range(0, len(drawn), quarter))
        + f"; b = {policy.log_factor.exp().item():.1f}",
        flush=True,
    )
    return policy


def check_picks(task: Replayed, surrogate: MetaLearnedSurrogate) -> None:
    """Check that a new policy picks what the search of the package picks.

    Raises
    ------
    AssertionError
        It does not: `Replayed` no longer computes what the surrogate does.
    """
    tried, X, loss = search(task, LearntPolicy(), n_trials=6)[0][0].numpy(), task.table.X, task.table.loss
    optimizer = PoolOptimizer(surrogate, task.table.meta_features)
    for n, pick in enumerate(tried):
        left = np.setdiff1d(np.arange(len(loss)), tried[:n])
        expected = left[optimizer.observe_and_suggest(X[tried[:n]], -loss[tried[:n]], X[left])]
        if pick != expected:
            raise AssertionError(f"trial {n + 1} of {task.table.task} must be row {expected}, but is {pick}")


def replayed(name: str, folder: Path, n_folds: int, settings: TrainingSettings) -> list[Replayed]:
    """Tasks of META_DATASET/SPACE, each with a surrogate of the folds without its family."""
    meta_dataset, space = name.split("/")
    md = MetaDataset.load(meta_dataset)
    tables = {table.task: table for table in informative(md.tables(space)) if np.isfinite(table.loss).all()}
    tasks: list[Replayed] = []
    for fold, (_, held_out) in enumerate(family_folds(md.tasks["family"], n_folds, random_state=0)):
        names = [str(task) for task in md.tasks.index[held_out]]
        path = folder / f"{meta_dataset}.{space}.{fold}.safetensors"
        if not path.exists():
            train_surrogate(md.drop(tasks=names), space=space, settings=settings).save(path)
        surrogate = load_surrogate(path)
        assert isinstance(surrogate, MetaLearnedSurrogate)
        own = [Replayed(name, tables[task], surrogate) for task in names if task in tables]
        check_picks(own[0], surrogate)
        tasks += own
    return tasks


def judge(tasks: Sequence[Replayed], policy: LearntPolicy, n_trials: int) -> pd.DataFrame:
    """Regrets of a policy and of expected improvement: columns space, task, family, method, trial, regret."""
    rows = []
    for task in tqdm(tasks, desc="judge", disable=None):
        for method, searched in ((LEARNT, policy), (IMPROVEMENT, LearntPolicy())):
            regrets = task.regrets(search(task, searched, n_trials)[0], n_trials)[0]
            own = {"space": task.space, "task": task.table.task, "family": task.table.family, "method": method}
            rows += [own | {"trial": trial, "regret": regret} for trial, regret in enumerate(regrets, start=1)]
    return pd.DataFrame(rows)


def show(regrets: pd.DataFrame, trials: Sequence[int], title: str) -> None:
    """Print mean regrets and the paired comparison."""
    n_families, n_tasks = regrets["family"].nunique(), len(regrets[["space", "task"]].drop_duplicates())
    print(f"\n{title}: {n_tasks} pairs of a task and a learner, {n_families} families")
    mean = mean_regret(regrets)
    mean = mean[mean["space"] == mean["space"].iloc[-1]].pivot_table("regret", "trial", "method").loc[list(trials)]
    compared = paired_comparison(regrets, LEARNT, trials).set_index("trial")
    columns = ["difference", "low", "high", "wins", "ties", "losses", "p_value"]
    over_trials = regrets.groupby("method")["regret"].mean()
    print("mean over all trials:", ", ".join(f"{method} {regret:.4f}" for method, regret in over_trials.items()))
    print(mean.join(compared[columns]).to_string(float_format="{:.4f}".format))


def main() -> None:
    """Train and judge a policy with each seed, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where surrogates and regrets are kept")
    parser.add_argument("--train-on", nargs="+", default=list(TRAINED_ON), help="META_DATASET/SPACE ...")
    parser.add_argument("--judge-on", nargs="*", default=list(ALSO_JUDGED_ON), help="beside those")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=3, help="of the surrogates")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--steps", type=int, default=400, help="of the training of a policy")
    parser.add_argument("--tasks", type=int, default=8, help="a step")
    parser.add_argument("--searches", type=int, default=8, help="of each of these tasks")
    parser.add_argument("--quick", action="store_true", help="train surrogates less than they deserve")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = TRAINING if options.quick else TrainingSettings()
    names = list(dict.fromkeys([*options.train_on, *options.judge_on]))
    paths = {seed: options.folder / f"regrets.{seed}.parquet" for seed in range(options.seeds)}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    tasks = [task for name in names if missing for task in replayed(name, options.folder, options.folds, settings)]
    for seed in missing:
        half = family_groups([task.table.family for task in tasks], 2, np.random.default_rng(seed))
        known = [t for t, group in zip(tasks, half, strict=True) if group == 0 and t.space in options.train_on]
        policy = train_policy(known, options.trials, options.steps, options.tasks, options.searches, seed)
        others = [t for t, group in zip(tasks, half, strict=True) if group == 1]
        judged = [judge(side, policy, options.trials).assign(known=side is known) for side in (known, others)]
        pd.concat(judged).to_parquet(paths[seed])
    results = [pd.read_parquet(path) for path in paths.values()]
    keys = ["known", "space", "task", "family", "method", "trial"]
    regrets = pd.concat(results).groupby(keys, sort=False, as_index=False)["regret"].mean()
    trials = [trial for trial in MILESTONES if trial <= options.trials]
    of_known = regrets["known"]
    of_trained = regrets["space"].isin(options.train_on)
    show(regrets[of_known], trials, "Families and learners that trained the policy")
    show(regrets[~of_known], trials, "Other families, all learners")
    show(regrets[~of_known & of_trained], trials, "Other families, learners that trained the policy")
    if (~of_known & ~of_trained).any():
        show(regrets[~of_known & ~of_trained], trials, "Other families, other learners")


if __name__ == "__main__":
    main()
