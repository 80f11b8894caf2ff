"""The face of the package: quick and quiet to import, complete, and clear about what it does not offer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import metahpo


def test_import__loads_neither_torch_nor_openml_nor_sklearn() -> None:
    code = "import sys, metahpo; print([m for m in ('torch', 'openml', 'sklearn', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_types__ship_with_the_package() -> None:
    assert (Path(metahpo.__file__).parent / "py.typed").is_file()


def test_module__is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "metahpo", "info"], capture_output=True, text=True, check=True)
    assert "tabular_classification" in done.stdout
    assert "classification of tables is answered from it for: all learners together, linear, svm," in done.stdout


@pytest.mark.parametrize("name", metahpo.__all__)
def test_face__everything_promised_is_there(name: str) -> None:
    assert getattr(metahpo, name) is not None
    assert name in dir(metahpo)


def test_face__an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="recommend"):
        metahpo.suggest  # noqa: B018 - the access is the test


def test_face__a_low_recursion_limit_is_enough_and_the_locks_of_unix_are_not_needed() -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "usual = sys.getrecursionlimit(); sys.setrecursionlimit(200)\n"
        "import metahpo; print(metahpo.MetaSearchCV, metahpo.recommend)\n"
        "sys.setrecursionlimit(usual)\n"
        "from sklearn.datasets import load_iris\n"
        "faces = [getattr(metahpo, name) for name in metahpo.__all__]\n"
        "print(len(metahpo.recommend(*load_iris(return_X_y=True), learner='svm', n=2)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2"
