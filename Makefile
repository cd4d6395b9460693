# One virtual environment, every tool from it. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Extra arguments for installing torch alone, for example an --index-url that serves CPU builds.
TORCH_ARGS ?=
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
# Neighbours run in one process, so that a module starts its servers once.
PYTEST_ARGS ?= -n 3 --dist worksteal
NOTIFY := hooks/mlflow-mother-notify
HIDE_PROGRESS := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off

.DEFAULT_GOAL := help
.PHONY: help venv demo serve test test-full lint types imports docs docs-tables hooks-test unit-test system constraints clean

help:  ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 14

venv: $(STAMP)  ## Makes .venv with everything that the other targets need
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "constraints.txt pins versions for Python 3.11 or newer (the library itself runs on 3.10): run make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/system python3-venv
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(HIDE_PROGRESS) $(BIN)/python -m pip install -q -c constraints.txt pip
	$(HIDE_PROGRESS) $(BIN)/python -m pip install -q -c constraints.txt $(TORCH_ARGS) $(TORCH)
	$(HIDE_PROGRESS) $(BIN)/python -m pip install -q -c constraints.txt -e '.[postgresql]' --group dev
	touch $@

demo: $(STAMP)  ## Trains a small family of models, registers it, recovers its tree: lineage.html
	$(BIN)/python -m benchmarks.demo

serve: $(STAMP)  ## A server with the demo family registered, ready to click; prints its URL
	$(BIN)/python -m benchmarks.demo.serve

test: system lint types imports docs hooks-test unit-test  ## Everything that must hold before a change lands

test-full: $(STAMP) system  ## The tests that take minutes: all server configurations, crash loops
	$(BIN)/pytest $(PYTEST_ARGS) -m full --timeout 1200

lint: $(STAMP)  ## ruff: style, bugs, formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@! command -v node >/dev/null || find mlflow_mother -name '*.js' -print0 | xargs -0 -n 1 node --check

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy
	MYPYPATH=$(NOTIFY)/src $(BIN)/mypy -p mlflow_mother_notify

imports: $(STAMP)  ## The arrows between packages
	$(BIN)/lint-imports --no-cache

docs: $(STAMP)  ## The documentation, warnings as errors: docs/_build/html
	$(BIN)/python docs/tables.py --check
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

docs-tables: $(STAMP)  ## Writes the generated parts of the documentation anew
	$(BIN)/python docs/tables.py

hooks-test: $(STAMP)  ## The first-party plugins' own tests
	$(BIN)/pytest -q --rootdir $(NOTIFY) -c $(NOTIFY)/pyproject.toml $(NOTIFY)/tests

unit-test: $(STAMP)  ## The package's tests
	$(BIN)/pytest $(PYTEST_ARGS)

system:  ## Debian packages that some tests need: installed when root, else named
	@.ci/system postgresql chromium

constraints: $(STAMP)  ## Writes constraints.txt from what .venv holds
	{ echo "# Versions that the tests pass with. Written by: make constraints"; \
	  $(BIN)/python -m pip freeze --all --exclude-editable | sed 's/+cpu$$//' | grep -v -e '^mlflow-mother' -e '^#' | LC_ALL=C sort -f; } > constraints.new
	mv constraints.new constraints.txt

clean:  ## Removes what the other targets made
	rm -rf $(VENV) docs/_build build dist demo_output lineage.html
