# Every target sets up what it needs: `make book` and `make test` work in a fresh clone.
# Another interpreter: make PYTHON=/path/to/python3.12 book

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help book test prose sweep lab spark refresh lint lock bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later found. Install one, or: make PYTHON=/path/to/python3 ..."; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version): takes a minute or two"
	@rm -f $(READY)
	@$(PYTHON) -m venv .venv || { echo "This Python has no venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

book: $(READY) ## run every chapter and build the site in _build/default/html
	@$(BIN)/course build

test: $(READY) ## unit, property, course and site tests, then what every cell of the notebooks says
	@echo "Running the tests"
	@$(BIN)/python -m pytest -n auto --dist loadgroup
	@echo "Comparing what every cell of the committed notebooks says with a new run (pictures are not compared)"
	@$(BIN)/python -m pytest --nbval notebooks -n auto --dist loadfile

prose: $(READY) ## how each page reads: words, length of the sentences, reading ease
	@$(BIN)/python tests/prose.py

sweep: $(READY) ## every parameter over its range: each run is right, or refused with a reason
	@echo "Running the chapters some 460 times: takes an hour and a quarter on one core"
	@OMP_NUM_THREADS=1 $(BIN)/python -u tests/sweep.py

lab: $(READY) ## open the notebooks in JupyterLab, with MyST rendered
	@$(BIN)/jupyter lab notebooks

spark: $(READY) ## install PySpark (490 MB) for the chapter on Spark, which wants Java 17, too
	@echo "Installing PySpark in .venv: takes a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-spark.lock
	@$(BIN)/python -c "import sys; from helpers.spark import why_absent; sys.exit(why_absent())"

refresh: $(READY) ## make the fixture data and the committed notebooks again
	@$(BIN)/python -m helpers.fixtures
	@$(BIN)/course refresh
	@for new in notebooks/exports/*/*.png; do old=book/images/$${new##*/}; [ ! -f $$old ] || cp $$new $$old; done

lint: $(READY) ## style, imports between modules, types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports
	@$(BIN)/mypy

COMPILE := $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--no-header --no-annotate

# requirements-spark.lock has what PySpark adds, and nothing that requirements.lock has already.
lock: $(READY) ## choose the newest versions that fit pyproject.toml
	@$(COMPILE) --extra lab --extra lite --extra test --extra lint --upgrade --output-file requirements.lock pyproject.toml
	@$(COMPILE) --all-extras --constraint requirements.lock pyproject.toml \
		| grep --invert-match --line-regexp --fixed-strings --file requirements.lock > requirements-spark.lock

bench: $(READY) ## time the helpers side by side with what a reader would use otherwise
	@for benchmark in benchmarks/*.py; do echo "$$benchmark"; $(BIN)/python "$$benchmark" || exit 1; done

clean: ## remove the environment and everything built
	rm -rf .venv _build notebooks/exports .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
