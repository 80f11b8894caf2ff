"""The floors of the house: a file imports only from floors below its own; a big dependency has one address."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import metahpo

PACKAGE = Path(metahpo.__file__).parent

FLOORS = (
    {"exceptions", "lazy_exports"},
    {"numerics", "processes", "registry"},
    {"space", "tasks", "trials"},
    {"datasets", "metafeatures", "networks"},
    {"learners"},
    {"metadata"},
    {"building", "surrogates"},
    {"acquisition", "reports"},
    {"optimization"},
    {"recommendation"},
    {"search", "evaluation"},
    {"integrations"},
    {"workflows"},
    {"cli", "testing", "__init__"},
    {"__main__"},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
#: Rooms of the third floor lean on each other in this order only: a trial holds a configuration.
WITHIN_FLOOR = {("trials", "space")}
#: Room inside a package -> rooms of that package that it does not import: a model does not know how it is learnt.
NOT_IMPORTED = {"surrogates/mixture": "metahpo.surrogates.fitting"}
#: Files that give what has moved to a higher floor at its former address.
FORMER_ADDRESSES = {"tasks/arff.py", "tasks/cache.py"}
#: Files of the conformance tests, which alone need pytest.
TESTING = ("__init__", "baselines", "engines", "integrations", "learners", "optimizers", "surrogates")
#: Dependency -> the files that may import it.
ADDRESSES = {
    "ax": {"integrations/ax.py"},
    "botorch": {"evaluation/baselines/botorch.py", "integrations/botorch.py"},
    "gpytorch": {"evaluation/baselines/botorch.py", "integrations/botorch.py"},
    "distributed": {"building/engines/dask.py"},
    "openml": {"datasets/openml.py"},
    "urllib3": {"datasets/openml.py", "datasets/throttle.py"},
    "requests": {"datasets/throttle.py"},
    "arff": {"datasets/arff.py"},
    "llvmlite": {"networks/mlp/compiled/compiler.py"},
    "numba": {"networks/mlp/compiled/compiler.py"},
    "matplotlib": {"evaluation/canvas.py", "recommendation/figure.py"},
    "jinja2": {"reports/page.py"},
    "orjson": {"trials/schema.py"},
    "pytest": {f"testing/{name}.py" for name in TESTING},
    "psutil": {"building/process_tree.py"},
    "pyarrow": {"trials/parts.py", "metadata/release.py"},
    "pynvml": {"building/device_slots.py"},
    "lightgbm": set(),  # learners/extras.py imports both by name, when an estimator is made
    "ray": {"building/engines/ray.py", "integrations/ray.py"},
    "optuna.distributions": {"space/optuna_distributions.py"},
    "optuna": {
        "metadata/own_trials.py",  # reads studies
        "search/optuna_engine.py",
        "integrations/optuna/sampler.py",
        "integrations/optuna/study.py",
    },
    "hyperopt": {"integrations/hyperopt.py"},
    "keras_tuner": {"integrations/keras_tuner.py"},
    "mlflow": {"metadata/own_trials.py", "integrations/mlflow.py"},
    "smac": {"integrations/smac.py"},
    "syne_tune": {"integrations/syne_tune.py"},
    "tensorboardX": {"integrations/tensorboard.py"},
    "safetensors": {"surrogates/tensor_file.py"},
    "submitit": {"building/engines/slurm.py"},
    "transformers": {"networks/text/pretrained.py"},
    "xgboost": set(),
}


def files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "_meta_datasets" not in p.parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Modules that a file imports, wherever in it, and the level of relative imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module, node.level
            if module == "metahpo":
                yield from ((f"metahpo.{alias.name}", node.level) for alias in node.names)


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    if path.relative_to(PACKAGE).as_posix() in FORMER_ADDRESSES:
        return
    room = room_of(f"metahpo.{path.relative_to(PACKAGE).parts[0].removesuffix('.py')}")
    for module, level in imports(path):
        assert level == 0, f"relative import of {module}"
        if module.startswith("metahpo."):
            other = room_of(module)
            if other in FLOOR_OF and other != room:
                below = FLOOR_OF[other] < FLOOR_OF[room] or (room, other) in WITHIN_FLOOR
                assert below, f"{room} (floor {FLOOR_OF[room]}) imports {module} (floor {FLOOR_OF[other]})"
        address = ADDRESSES.get(module, ADDRESSES.get(module.split(".")[0]))
        assert address is None or path.relative_to(PACKAGE).as_posix() in address, f"{module} is imported here"


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(f"metahpo.{p.relative_to(PACKAGE).parts[0].removesuffix('.py')}") for p in files()}
    assert rooms <= FLOOR_OF.keys()


@pytest.mark.parametrize("folder", NOT_IMPORTED)
def test_a_model_does_not_import_how_it_is_learnt(folder: str) -> None:
    above = NOT_IMPORTED[folder]
    paths = sorted((PACKAGE / folder).glob("*.py"))
    assert paths
    for path in paths:
        for module, _ in imports(path):
            assert not f"{module}.".startswith(f"{above}."), f"{path.name} imports {module}"


#: Names of several files: former addresses, and the same thing in another room.
SHARED_NAMES = {"arff", "cache", "botorch", "engines", "ray", "registry"}


def test_no_two_files_have_one_name() -> None:
    names = Counter(path.stem for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__"))
    assert {name for name, count in names.items() if count > 1} == SHARED_NAMES
