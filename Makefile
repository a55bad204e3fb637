# make run    set up, then run MMBee on TikTok (a synthetic sample until the real files are converted)
# make test   set up, then lint, types and all tests
# make clean  remove the virtual environment

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
# Without a GPU the CPU build of torch is taken from PyTorch's own index; where that cannot be reached, from wherever pip looks.
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU && echo yes)
TORCH_INDEX := $(if $(HAS_GPU),,--index-url https://download.pytorch.org/whl/cpu --retries 0 --timeout 15)
INSTALLED := $(VENV)/installed

.PHONY: run test lint types unit clean

run: $(INSTALLED)
	$(BIN)/python run_recbole.py --model=MMBee --dataset=tiktok

test: lint types unit

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

unit: $(INSTALLED)
	$(BIN)/python -m pytest -q

$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' || \
		{ echo "error: Python 3.10 or 3.11 is needed (RecBole's ray has no wheels for later ones); set PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q $(TORCH_INDEX) $(TORCH) || $(BIN)/pip install -q $(TORCH)
	$(BIN)/pip install -q -e ".[recbole,test]" -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV)
