# Every target does its own set-up: a virtual environment in .venv, made once and brought up to date when
# pyproject.toml or constraints.txt change. All that is needed is Python 3.11 or newer with pip.
#
#   make quickstart            the whole way on the built-in study
#   make test                  the tests (ARGUMENTS="-k name" to choose)
#   make check                 ruff, mypy and the layers between packages
#   make demo                  the studio in a browser
#
# PYTHON=/path/to/python chooses an interpreter, PIP_OPTIONS="..." is handed to pip install.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart test test-packaging check lint typecheck layers demo chromium clean distclean

VENV ?= .venv
BIN := $(VENV)/bin
SET := pyproject.toml constraints.txt
INSTALL := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --progress-bar off -q $(PIP_OPTIONS) -c constraints.txt
PYTHON ?=
ARGUMENTS ?=

help:
	@sed -n 's/^#   //p' Makefile

quickstart: $(VENV)/.installed
	$(BIN)/neurodecode quickstart $(ARGUMENTS)

demo: $(VENV)/.installed
	$(BIN)/neurodecode demo $(ARGUMENTS)

test: $(VENV)/.installed-dev
	$(BIN)/pytest $(ARGUMENTS)

test-packaging: $(VENV)/.installed-dev
	$(BIN)/pytest -m slow tests/packaging $(ARGUMENTS)

check: lint typecheck layers

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

# mypy and import-linter do not follow the mapping of top-level folders to neurodecode.*, so they look at a real
# installation: what ships is what is checked. Both run from another folder, where datasets/ cannot be mistaken for a
# package of its own.
build/typecheck: $(VENV)/.installed-dev FORCE
	@rm -rf build/lib build/bdist.* build/typecheck
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation --target build/typecheck .
	@rm -rf build/lib build/bdist.*

typecheck: build/typecheck
	bin=$$(cd $(BIN) && pwd); cd build && MYPYPATH=typecheck "$$bin/mypy" --config-file ../pyproject.toml --cache-dir mypy_cache -p neurodecode

layers: build/typecheck
	bin=$$(cd $(BIN) && pwd); cd build/typecheck && "$$bin/lint-imports" --config ../../pyproject.toml --no-cache

.PHONY: FORCE
FORCE:

# The first interpreter that is new enough. A name that exists but does not run (a version manager's) is passed over.
$(VENV)/bin/python:
	@for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then echo "make: Python 3.11 or newer is needed and none was found; set PYTHON=/path/to/python" >&2; exit 1; fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $(VENV) 2>/dev/null || { \
	    "$$found" -m venv --clear --without-pip $(VENV) && "$$found" -m pip --python $(VENV)/bin/python install -q pip; }

$(VENV)/.installed: $(SET) | $(VENV)/bin/python
	@echo "Installing (about 2 GB the first time)"
	$(INSTALL) -e '.[offline]'
	@touch $@

$(VENV)/.installed-dev: $(SET) | $(VENV)/bin/python
	@echo "Installing, with the tools for tests (about 2 GB the first time)"
	$(INSTALL) -e '.[offline,dev]'
	@touch $(VENV)/.installed $@

# Debian's headless browser, for looking at the report and the studio in tests.
chromium:
	@if command -v chromium >/dev/null; then echo "chromium is there"; else \
	    if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	    $$run apt-get update -q && $$run apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core; fi

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache lightning_logs
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
