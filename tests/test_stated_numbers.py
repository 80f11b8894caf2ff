"""Numbers in the README and the documentation, recomputed from what ships and from the tables that they sum up.

A claim is a pattern that finds numbers in a page, and a function that computes what they must be. A sentence that is
changed, so that its pattern finds nothing, fails as well: then the claim is changed with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from metahpo.metadata.datasheet import reliability
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.release import shipped_names
from metahpo.recommendation.novelty import UNFAMILIAR
from metahpo.recommendation.shipped import answered

ROOT = Path(__file__).parent.parent


@cache
def shipped(name: str) -> MetaDataset:
    return MetaDataset.load(name)


@cache
def text_of(page: str) -> str:
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def first_picks(pick: str, column: int) -> dict[str, int]:
    """A column of percentages in the first table of first recommendations of classification, by learner."""
    page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    part = page.split("## First recommendations, trained on real tables")[1].split("### Tables of")[0]
    found, learner = {}, ""
    for line in part.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[2].endswith("%"):
            learner = cells[0] or learner
            if cells[1] == pick:
                found[learner] = int(cells[column].rstrip(" %"))
    return found


def counts(name: str) -> tuple[str, ...]:
    md = shipped(name)
    return f"{len(md.tasks)}", f"{md.tasks['family'].nunique()}", f"{len(md.trials):,}"


def limits() -> tuple[str, ...]:
    """Rows, columns and classes of tables in the experience with learners for tables."""
    tasks = [shipped(name).tasks for name in ("tabular_classification", "tabular_regression")]
    fewest, most = (int(how(how(t["n_rows"]) for t in tasks)) for how in (min, max))
    columns = max(int(t["n_features"].max()) for t in tasks)
    classes = int(tasks[0]["n_classes"].max())
    return f"{round(fewest, -1)}", f"{round(most, -3):,}", f"{columns}", f"{classes}"


def reliable() -> tuple[str, ...]:
    both = [
        reliability(shipped(f"tabular_{kind}"))["reliability (median)"] for kind in ("classification", "regression")
    ]
    others = both[1].drop("linear")
    found = (both[0].min(), both[0].max(), others.min(), others.max(), both[1]["linear"])
    return tuple(f"{v:.2f}".lstrip("0") for v in found)


def tasks_of_5000_rows() -> tuple[str, ...]:
    tasks = [shipped(f"tabular_{kind}").tasks for kind in ("classification", "regression")]
    return tuple(str(int((of_kind["n_rows"] >= 5000).sum())) for of_kind in tasks)


def mean_of(column: int) -> tuple[str, ...]:
    return (f"{np.mean(list(first_picks('metahpo', column).values())):.0f}",)


def by_learner() -> tuple[str, ...]:
    wins, losses = first_picks("metahpo", 2), first_picks("metahpo", 3)
    return tuple(str(of[learner]) for learner in ("boosting", "random_forest", "svm") for of in (wins, losses))


@dataclass(frozen=True)
class Claim:
    """Numbers in a page: groups of a pattern, and what they must be."""

    page: str
    pattern: str
    expected: Callable[[], tuple[str, ...]]

    def __str__(self) -> str:
        return f"{self.page}: {self.pattern[:40]}"


def claims() -> Iterator[Claim]:
    for name in re.findall(r"^\| `(\w+)` \| \d", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE):
        yield Claim("README.md", rf"\| `{name}` \| (\d+) \| (\d+) \| ([\d,]+) \|", partial(counts, name))
    yield Claim("README.md", r"wins against the library's default on (\d+) %", lambda: mean_of(2))
    yield Claim("README.md", r"default on \d+ % and loses on (\d+) %", lambda: mean_of(3))
    yield Claim("README.md", r"boosting (\d+) / (\d+), random forests (\d+) / (\d+), SVMs (\d+) / (\d+)", by_learner)
    yield Claim("README.md", r"`rec.novelty` above (\S+)\)", lambda: (f"{UNFAMILIAR:g}",))
    yield Claim(
        "docs/measurements.md",
        r"reliability of a task is (\S+) to (\S+) in classification, (\S+) to (\S+) in regression, and (\S+) for",
        reliable,
    )
    yield Claim("docs/measurements.md", r"\((\d+) and (\d+) tasks of 5,000", tasks_of_5000_rows)
    yield Claim(
        "docs/measurements.md", r"There are (\d+) recorded tasks", lambda: counts("networks_classification")[:1]
    )


@pytest.mark.parametrize("claim", list(claims()), ids=str)
def test_numbers_are_those_that_are_measured(claim: Claim) -> None:
    found = re.search(claim.pattern, text_of(claim.page))
    assert found is not None, f"{claim.page} no longer says {claim.pattern!r}; change the claim with the sentence"
    assert found.groups() == claim.expected()


def test_the_experience_is_as_large_as_its_limits_say() -> None:
    found = re.search(
        r"tables of ([\d,]+) to ([\d,]+) rows .*? at most (\d+) columns and (\d+) classes", text_of("README.md")
    )
    assert found is not None
    said = [int(number.replace(",", "")) for number in found.groups()]
    known = [int(number.replace(",", "")) for number in limits()]
    assert said[:2] == known[:2]
    assert known[2] <= said[2]
    assert known[3] <= said[3]


def test_the_readme_says_which_meta_dataset_answers_for_which_learner() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| \d.*\| ([^|]*) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name: set(re.findall(r"`(\w+)`", learners)) for name, learners in rows} == {
        **{name: set() for name in shipped_names()},
        **{one.name: {*one.learners, *(["None"] if one.together else [])} for one in answered()},
    }
