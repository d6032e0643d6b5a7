# Every target sets up what it needs: `make book` and `make test` work in a fresh clone.
# Another interpreter: make PYTHON=/path/to/python3.12 book

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help book test lab refresh lint lock bench clean

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
	@$(BIN)/python -m pytest --nbval notebooks

lab: $(READY) ## open the notebooks in JupyterLab, with MyST rendered
	@$(BIN)/jupyter lab notebooks

refresh: $(READY) ## make the fixture data and the committed notebooks again
	@$(BIN)/python -m helpers.fixtures
	@$(BIN)/course refresh
	@for new in notebooks/exports/*/*.png; do old=book/images/$${new##*/}; [ ! -f $$old ] || cp $$new $$old; done

lint: $(READY) ## style, imports between modules, types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports
	@$(BIN)/mypy

lock: $(READY) ## choose the newest versions that fit pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --all-extras \
		--upgrade --no-header --no-annotate --output-file requirements.lock pyproject.toml

bench: $(READY) ## time the helpers side by side with what a reader would use otherwise
	@for benchmark in benchmarks/*.py; do echo "$$benchmark"; $(BIN)/python "$$benchmark" || exit 1; done

clean: ## remove the environment and everything built
	rm -rf .venv _build notebooks/exports .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
