# make demo: set everything up and run a whole study on handwritten digits.
# make test: lint, type check and every test but those of clusters, handed out one at a time, since some take minutes.
# make soak: one study killed twenty times; minutes.
# make test-cluster: as root, machines of a small network on this one, with ssh, S3 and Ray between them.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

# Without compiled bytecode every worker would compile torch anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test soak test-cluster

demo: setup
	@$(BIN)/python -m study.run --preset quick

test: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup

soak: setup
	@$(BIN)/python -m benchmarks.soak

# In namespaces of their own, so that nothing they do meets another's processes or network, and nothing is left. The
# shell stays, to take leave of what outlives its parent.
ISOLATED := unshare --pid --fork --kill-child --mount-proc --net --mount

test-cluster: setup
	@test "$$(id -u)" = 0 || { echo "make test-cluster needs root, for namespaces and sshd"; exit 2; }
	@which /usr/sbin/sshd rsync ip > /dev/null || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends openssh-server rsync iproute2; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt --group cluster
	@$(ISOLATED) sh -c 'ip link set lo up && $(BIN)/python -m pytest tests/cluster; exit $$?'

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This takes Python 3.11 or newer: make setup PYTHON=python3.12, say")'
	@echo "Setting up .venv (some minutes the first time: torch is large)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt --group dev --editable .
	@touch $@
