# Two commands set everything up on a machine that has Python, pip and make:
#   make demo   installs the package and shows the main job, offline
#   make test   installs what the tests need and runs them

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: demo test test-slow test-lowest test-all coverage lint types docs picture clean

demo: $(VENV)/.demo
	$(BIN)/python scripts/demo.py

test: $(VENV)/.test
	$(PYTEST)

# The long versions of some tests, which kill processes for many minutes.
test-slow: $(VENV)/.test
	$(PYTEST) -m slow

# The suite with the lowest versions that pyproject.toml admits, in an environment of its own, without mypy and its stubs.
test-lowest: $(VENV)-lowest/.test
	$(VENV)-lowest/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# All that `.ci/run` leaves out because it takes long: every extra, slow tests, lowest versions, small benchmarks.
test-all: $(VENV)/.all
	$(PYTEST)
	$(PYTEST) -m slow
	$(BIN)/python scripts/smoke_benchmarks.py
	$(MAKE) test-lowest

# The same tests; counting lines makes them a quarter slower.
coverage: $(VENV)/.test
	$(PYTEST) --cov --cov-report=term --cov-fail-under=90

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

# Offline; a warning, a dead reference or an example that fails ends it with an error.
docs: $(VENV)/.docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -n -b html -d docs/_build/doctrees docs docs/_build/html

# The picture of the README.
picture: $(VENV)/.demo
	$(BIN)/python scripts/draw_picture.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch goes first: with the CPU build in place, nothing asks for another one.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt torch
	$(PIP) -c constraints.txt -e ".[report]"
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) -c constraints.txt -e ".[report,dev]"
	touch $@

$(VENV)/.all: $(VENV)/.test
	$(PIP) -c constraints.txt -e ".[all,dev]"
	touch $@

$(VENV)-lowest/.test: pyproject.toml
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/pip install --quiet --disable-pip-version-check uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct \
		-e ".[report,hyperopt,lightgbm,networks,optuna,smac,tensorboard,xgboost]" "pytest>=8.3" "pytest-xdist>=3.8" "hypothesis>=6.100"
	touch $@

$(VENV)/.docs: $(VENV)/.demo
	$(PIP) -c constraints.txt -e ".[report,docs]"
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-lowest demo build dist docs/_build docs/gallery docs/reference/generated
