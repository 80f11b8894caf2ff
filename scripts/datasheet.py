"""Write the tables of the shipped meta-datasets into their datasheet, between its marks."""

import argparse
import re
from pathlib import Path

from metahpo.metadata.datasheet import to_markdown
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.shipped import answered

LEGEND = (
    "`metahpo.recommend(X, y, learner=...)` answers from these. `None` means all learners together, without `mlp`.",
    '"Several" means a list of learners.',
)
BEGIN, END = "<!-- tables: python scripts/datasheet.py -->", "<!-- end of tables -->"


def answers() -> str:
    """Which meta-dataset answers for which learner, as Markdown."""
    rows = []
    for one in answered():
        learners = ", ".join([*(["`None`, several"] if one.together else []), *(f"`{name}`" for name in one.learners)])
        rows.append(f"| {one.kind} of {one.modality}s | {learners} | `{one.name}` |")
    return "\n".join(
        [
            "### Which meta-dataset is used",
            "",
            *LEGEND,
            "",
            "| tasks | `learner=` | meta-dataset |",
            "|--|--|--|",
            *rows,
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("meta_datasets"))
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where the tables are out of date")
    options = parser.parse_args()
    path = options.folder / "README.md"
    before = path.read_text(encoding="utf-8")
    names = sorted(manifest.parent for manifest in options.folder.glob("*/manifest.json"))
    tables = "\n\n".join(to_markdown(MetaDataset.load(name)) for name in names)
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(before):
        raise SystemExit(f"{path} lacks the marks {BEGIN} and {END}.")
    after = pattern.sub(lambda _: f"{BEGIN}\n\n{answers()}\n\n{tables}\n\n{END}", before)
    if options.check:
        raise SystemExit(f"{path} is out of date; run python scripts/datasheet.py" if after != before else 0)
    path.write_text(after, encoding="utf-8")
    print(f"{path}: {len(names)} meta-datasets")
