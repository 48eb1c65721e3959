PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install install-test run test test-faults bench lint frontend clean

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/python -m processes.runtime.warm
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,test]'
	touch $@

install: $(VENV)/.installed

install-test: $(VENV)/.installed-test

run: install
	PATH="$(CURDIR)/$(BIN):$$PATH" exec $(BIN)/supervisord -c supervisord.conf

test: install-test
	$(BIN)/python -m pytest -m "not slow"

test-faults: install-test
	$(BIN)/python -m pytest -m slow --timeout 1800 tests/faults

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install-test
	$(BIN)/python -m benchmarks

frontend:
	cd frontend && npm ci --no-audit --no-fund && npm run build
