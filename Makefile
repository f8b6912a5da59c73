# make demo: set everything up and run a whole study on handwritten digits.
# make test: lint, type check and every test.
# make soak: one study killed twenty times; minutes.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

# Without compiled bytecode every worker would compile torch anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test soak

demo: setup
	@$(BIN)/python -m study.run --preset quick

test: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest

soak: setup
	@$(BIN)/python -m benchmarks.soak

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@echo "Setting up .venv (some minutes the first time: torch is large)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt --group dev --editable .
	@touch $@
