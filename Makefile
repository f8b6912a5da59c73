# make demo: set everything up and run a whole study on handwritten digits.
# make lint: ruff's checks and format, and mypy.
# make test: make lint beside every quick test, and one whole study that is killed and resumed.
# make test-slow: the tests marked slow, which are whole studies for the most part.
# make test-extras: install the extras and test the export and the trackers; a study then takes some seconds longer.
# make test-all: all of make test, make test-slow and make test-extras.
# make docs: build the site of the documentation into site/; every broken link is an error.
# make audit: look up the versions of constraints.txt in PyPI's advisories.
# make soak: kill one study twenty times; minutes.
# make test-cluster: as root, test a cluster of simulated machines on this machine, with ssh, S3, Slurm and Ray.
# make soak-cluster: the same with the tests marked slow, in which machines are lost again and again.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# Without this setting, a folder that has the name of a package and is none would hide it.
EDITABLE := --config-settings editable_mode=compat --editable

# Without compiled bytecode every worker would compile torch anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-quick test-slow test-most test-extras test-all lint docs audit soak test-cluster soak-cluster

demo: setup
	@$(BIN)/python -m study.run --preset quick

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

PYTEST := $(BIN)/python -m pytest --numprocesses=2 --durations=10

# Without its cache mypy takes half a minute, so the tests run meanwhile.
test: setup
	@$(MAKE) --no-print-directory --jobs=2 lint test-quick

test-quick: setup
	@$(PYTEST) -m "not slow and not onnx and not trackers"

test-slow: setup
	@$(PYTEST) -m "slow and not onnx and not trackers"

EXTRAS := onnx,tensorboard,mlflow,wandb

test-extras: setup
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt $(EDITABLE) '.[$(EXTRAS)]'
	@$(PYTEST) -m "onnx or trackers" $$(grep -r --files-with-matches --include='*.py' -e mark.onnx -e mark.trackers tests)

# In one run, because each collects all tests, and ends with a test that leaves a processor idle.
test-most: setup
	@$(PYTEST) -m "not onnx and not trackers"

test-all: setup
	@$(MAKE) --no-print-directory --jobs=2 lint test-most
	@$(MAKE) --no-print-directory test-extras

docs: setup
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt --group docs
	@$(BIN)/python -m mkdocs build --strict --quiet

# Advisories that do not concern this project, as `--ignore-vuln NUMBER`. SECURITY.md gives the reasons.
AUDIT_EXCEPTIONS :=

audit: setup
	@$(BIN)/uv tool run --quiet pip-audit --strict --no-deps --disable-pip $(AUDIT_EXCEPTIONS) -r constraints.txt

soak: setup
	@$(BIN)/python -m benchmarks.soak

# The tests run in namespaces of their own, apart from the processes and network of the machine, and leave nothing. In
# there, each test process makes one more network for its machines (tests/cluster/conftest.py). The shell stays: it is
# the parent of processes that outlive their own.
ISOLATED := unshare --pid --fork --kill-child --mount-proc --net --mount

CLUSTER_TESTS := not slow

soak-cluster: CLUSTER_TESTS := slow
soak-cluster: test-cluster

test-cluster: setup
	@test "$$(id -u)" = 0 || { echo "make test-cluster needs root, for namespaces and sshd"; exit 2; }
	@which /usr/sbin/sshd rsync ip munged slurmctld slurmd srun openssl > /dev/null || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	  openssh-server openssl rsync iproute2 munge slurmctld slurmd slurm-client; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt --group cluster
	@$(ISOLATED) sh -c 'ip link set lo up && $(PYTEST) --numprocesses=3 -m "$(CLUSTER_TESTS)" tests/cluster; exit $$?'

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This takes Python 3.11 or newer: make setup PYTHON=python3.12, say")'
	@echo "Setting up .venv (some minutes the first time: torch is large)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt --group dev $(EDITABLE) .
	@touch $@
