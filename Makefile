# make run            set up, then run MMBee on TikTok (a synthetic sample until the real files are converted)
# make run-torchrec   the same over sharded tables: two processes, or one a GPU
# make test           set up, then lint, types and all tests
# make docs           the documentation site, in docs/_build/html; a warning is an error
# make notebooks      the tutorials, executed, as notebooks in docs/notebooks
# make clean          remove the virtual environment
# With PYTHON=/path/to/python3.12 or 3.13, under that one; an environment of another version is made anew.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
BIN := .venv/bin
READY := .venv/ready-$(VERSION)
GPUS := $(filter-out 0,$(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU'))
# Without a GPU, PyTorch's own index has a build that is ten times smaller.
TORCH_INDEX := $(if $(GPUS),,--index-url https://download.pytorch.org/whl/cpu --retries 0)
STANDINS := ./packaging/ray-none $(if $(GPUS),,./packaging/fbgemm-cpu)
PROCESSES ?= $(or $(GPUS),2)
SHARDS := shards/tiktok
# Looked up when the job starts, since the data may be made by then.
JOB = torchrec_configs/$(if $(shell grep -s '"kind": "sample"' datasets/tiktok/dataset.json),sample,tiktok).yaml
.PHONY: run run-torchrec test lint types unit docs notebooks clean

run: $(READY)
	$(BIN)/python run_recbole.py --model=MMBee --dataset=tiktok

run-torchrec: export OMP_NUM_THREADS ?= 1
run-torchrec: $(READY) $(SHARDS)/shards.json
	$(BIN)/mmbee torchrun --nproc_per_node=$(PROCESSES) -m mmbee_plugin.torchrec.train \
		--config $(JOB) checkpoint.folder=saved/torchrec/tiktok-$$(date +%Y%m%d-%H%M%S)-$$$$

# Written again when the dataset changes: a sample that was replaced by real data.
$(SHARDS)/shards.json: $(wildcard datasets/tiktok/dataset.json) | $(READY)
	$(BIN)/mmbee data shards tiktok $(SHARDS)

# Types are checked beside the tests: one core's minute of many.
test: lint
	$(MAKE) --no-print-directory -j2 types unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# The tests run in three processes, as many wait now and then; each would otherwise start a thread per core.
unit: export OMP_NUM_THREADS ?= 1
unit: $(READY)
	$(BIN)/python -m pytest -q -n 3 --dist worksteal

docs: $(READY)
	$(BIN)/pip install -q -e ".[docs]" -c constraints.txt
	rm -rf docs/api/modules
	$(BIN)/sphinx-build -q -W --keep-going -j auto -b html docs docs/_build/html

notebooks: $(READY)
	$(BIN)/pip install -q -e ".[docs]" -c constraints.txt
	$(BIN)/python docs/notebooks.py

$(READY): setup.py constraints.txt $(wildcard packaging/*/pyproject.toml)
	@case "$(VERSION)" in 3.11|3.12|3.13) ;; *) \
		echo "error: Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is $(VERSION): set PYTHON=/path/to/python3.11"; \
		exit 2 ;; esac
	@[ -e $@ ] || rm -f .venv/ready*
	$(PYTHON) -m venv $(if $(wildcard $(BIN)/python$(VERSION)),,--clear) .venv
	$(BIN)/pip install -q --no-deps $(TORCH_INDEX) -c constraints.txt torch || \
		$(BIN)/pip install -q --no-deps -c constraints.txt torch
	$(BIN)/pip install -q -e ".[recbole,torchrec,logs,spark,serve,test]" $(STANDINS) -c constraints.txt
	touch $@

clean:
	rm -rf .venv
