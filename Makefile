# Each target works in a fresh clone with nothing but Python 3.11 or later, pip and make: what it
# needs goes into .venv, from the hashes in requirements/, and again when those change.

VENV := .venv
PY := $(VENV)/bin/python

# Wheels only: nothing that is installed may run code of its own to build itself.
PIP_INSTALL := -m pip --python $(PY) --quiet --disable-pip-version-check --no-input \
	install --no-warn-script-location --require-hashes --only-binary=:all:

# The first interpreter that is new enough and brings pip.
FIND_PYTHON := for python in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14 python; do \
		"$$python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		python=; \
	done; \
	test -n "$$python" || { echo "make: needs Python 3.11 or later with pip on the PATH" >&2; exit 1; }

# 100 % of the branches where a mistake costs an event; 95 % where hardware and signals begin.
EXACT := edge/core/*,origin_client/*

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test faults kills bench soak sim mutants check format lock clean

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/.run  ## play one casino evening, with a SIGKILL in its middle (half a minute)
	@$(PY) -m edge demo

test: $(VENV)/.dev  ## run all tests and hold the coverage to its bounds
	@$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest $(TESTS)
	@$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --include='$(EXACT)' --fail-under=100
	$(PY) -m coverage report --omit='$(EXACT)' --fail-under=95

ONLY :=
faults: $(VENV)/.dev  ## break it in every way, update README's table (hours); ONLY=kills,restarts
	@$(PY) -m tests.faults --full --only '$(ONLY)' --readme README.md

kills: $(VENV)/.dev  ## SIGKILL a thousand times under load, at named points too (51 min)
	@$(PY) -m tests.faults --full --only kills

BASE :=
bench: $(VENV)/.dev  ## measure, update README's tables (7 min); BASE=COMMIT: against that commit
ifeq ($(BASE),)
	@$(PY) -m tests.system.bench --readme README.md
	@$(PY) -m loadtests.bench.sockets --readme README.md
	@$(PY) -m loadtests.stages --readme README.md
else
	@$(PY) -m loadtests.bench --base $(BASE)
	@$(PY) -m loadtests.stages
endif

EVENTS := 4000000
soak: $(VENV)/.dev  ## send EVENTS=4000000 through one gateway and tell what memory does (3 min)
	@$(PY) -m loadtests.bench --soak $(EVENTS)

SEEDS := 100000
sim: $(VENV)/.dev  ## live through SEEDS=100000 simulated worlds of 200 steps (30 min)
	@$(PY) -m tests.sim --seeds $(SEEDS)

mutants: $(VENV)/.dev  ## plant thirteen bugs, and see who catches each: tests, simulation, power cuts (2 min)
	@$(PY) -m tests.mutants --sim

check: $(VENV)/.dev  ## lint, types, import contracts, house rules
	$(PY) -m ruff check --quiet
	$(PY) -m ruff format --check --quiet
	$(PY) -m mypy
	$(PY) -m pyright
	$(VENV)/bin/lint-imports
	$(PY) -m pytest --quiet tests/test_house_rules.py

format: $(VENV)/.dev  ## put the code into its one form
	$(PY) -m ruff check --quiet --fix
	$(PY) -m ruff format --quiet

lock: $(VENV)/.dev  ## pin anew what pyproject.toml asks for, a week after its release
	@for row in run: dev:--group=dev load:--group=load; do \
		$(VENV)/bin/uv pip compile --quiet pyproject.toml $${row#*:} --generate-hashes --no-header \
			--no-annotate --universal --python-version 3.11 \
			--exclude-newer "$$(date -u -d '7 days ago' +%F)" --upgrade \
			--output-file requirements/$${row%%:*}.txt || exit 1; \
	done

clean:  ## remove what was made here, except spools and logs
	rm -rf $(VENV) build *.egg-info .coverage .coverage.* .hypothesis .*_cache

# A development environment holds all that a demo needs, in the same versions.
$(VENV)/.run: requirements/run.txt | $(PY)
	@test requirements/dev.txt -ot $(VENV)/.dev || { $(FIND_PYTHON); $$python $(PIP_INSTALL) -r $<; }
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(PY)
	@$(FIND_PYTHON); $$python $(PIP_INSTALL) -r $<
	@touch $@

# Without its own pip, so that Debian's split-off python3-venv is not needed.
$(PY):
	@$(FIND_PYTHON); $$python -m venv --without-pip $(VENV)
