# make run    the whole stack in the foreground; Ctrl-C stops it
# make test   every test but those that take long or repeat a kind (make test-faults)
# make train-default   train on the folder RECORDINGS, export to models/default, judge
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# CPU-only PyTorch has an index of its own. Where that cannot be reached pip says so and takes the
# one it finds elsewhere. For a GPU: make TORCH_INDEX= install-test
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

# MODEL=name keeps the shipped model and makes var/models/<name> instead; TRAIN_FLAGS are further
# flags of models.train.
RECORDINGS ?= ../shared/recordings/gold15m-2026-08
MODEL ?= default
TRAINING := var/training/$(MODEL)
MODEL_FOLDER := $(if $(filter default,$(MODEL)),models/default,var/models/$(MODEL))
BASELINES := from models.policies.baselines import BASELINES as b; print(*(f"--policy=baseline:{n}" for n in b))

# Twice as many as cores: most tests wait for programs that they started.
CORES := $(shell getconf _NPROCESSORS_ONLN)
TEST_WORKERS ?= $(shell echo $$(($(CORES) < 4 ? 2 * $(CORES) : 8)))

.PHONY: install install-test run test test-faults coverage wheel bench lint frontend train-default \
	recordings

install: $(VENV)/.installed

# A venv that could not be finished (Debian without python3-venv) has a python and no pip.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is not Python 3.11 or newer; PYTHON=<program> names another" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make $(VENV); Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	$(PIP) --editable .
	$(BIN)/python -m processes.runtime.warm
	touch $@

install-test: $(VENV)/.installed-test

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -c 'import torch' 2>/dev/null || \
		$(PIP) --no-deps --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) --editable '.[train,test]'
	cd tests && $(abspath $(BIN))/python -m support.warm
	touch $@

run: install
	exec $(BIN)/supervisord -c supervisord.conf

test: install-test
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow"

test-faults: install-test
	$(BIN)/python -m pytest -m slow --timeout 1800
	$(BIN)/python -m pytest tests/faults/test_recording.py -k random --rounds 50 -s
	$(BIN)/python -m pytest tests/faults/test_stops.py -k often --rounds 100 -s
	$(BIN)/python -m pytest tests/faults/test_execution.py -k often --rounds 200 -s

# Which lines the tests of single parts and single processes run. Costs half as much again as those
# tests alone; whole stacks, browser and training are left out.
coverage: install-test
	$(PIP) --editable '.[coverage]'
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --cov --cov-report= \
		-m "not slow and not stack and not train" tests/unit tests/contract
	@$(BIN)/coverage report --sort=cover | awk '/%$$/ { share = $$NF + 0 } \
		/^TOTAL/ { total = share } !/^TOTAL/ && share < 80 && /%$$/ { low = low "\n  " $$0 } \
		END { print "lines covered: " total " %; files under 80 %:" (low ? low : " none") }'

wheel: install-test
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps \
		--no-build-isolation --wheel-dir dist .

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install-test
	$(BIN)/python -m benchmarks

frontend:
	cd frontend && npm ci --no-audit --no-fund && npm run lint && npm test && npm run build

recordings:
	@test -d "$(RECORDINGS)" || \
		{ echo "no folder $(RECORDINGS); RECORDINGS=<folder> names that of the recordings" >&2; exit 2; }

train-default: recordings install-test
	$(BIN)/python -m models.train --config models/learning/default.toml \
		--recordings "$(RECORDINGS)" --out $(TRAINING) $(TRAIN_FLAGS)
	$(BIN)/python -m models.export_onnx $(TRAINING)/model.zip --out $(MODEL_FOLDER)
	$(BIN)/python -m models.evaluate --recordings "$(RECORDINGS)" --policy onnx:$(MODEL) \
		$$($(BIN)/python -c '$(BASELINES)') --json $(TRAINING)/evaluation.json \
		--report $(TRAINING)/report
