# SPDX-License-Identifier: Apache-2.0
# Every target starts from a bare python3 (3.11 or newer, with venv) and make; nothing global is installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests that need a program of others, the public data folder or much time have targets of their own.
QUICK := not conformance and not data and not slow

.DEFAULT_GOAL := help
.PHONY: help demo test lint types arch pytest bench bench-pull bench-policy conformance soak fuzz lock clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22
	@echo "  make demo KEEP=1 leaves the sandbox running; ENGINE=postgresql keeps it in a real PostgreSQL."

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=")'
	@$(PYTHON) -c 'import ensurepip' || { echo "this python3 has no venv (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "installing into $(VENV), once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## three governments exchange, refuse, review and verify in a temporary folder
	$(if $(filter postgresql,$(ENGINE)),$(BIN)/python -m tests.with_postgresql) $(BIN)/gateway demo $(if $(filter-out 0,$(KEEP)),--keep) $(if $(ENGINE),--engine $(ENGINE)) $(if $(DATA),--data $(DATA))

test: $(READY) lint types arch pytest ## all that must hold before a change lands

lint: $(READY) ## ruff: rules and form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

arch: $(READY) ## import-linter: imports point down the layers
	$(BIN)/lint-imports

# Three processes on two cores, because many tests wait; a file stays in one, so that what it starts is started once.
pytest: $(READY) ## the tests, in random order on three processes, SQLite and real PostgreSQL
	$(BIN)/pytest -q -n 3 --dist loadfile -m "$(QUICK)" $(ARGS)

bench: $(READY) ## how fast, beside what one core can do, a plain build and a bare server; ARGS="--only latency"
	$(BIN)/python -m tests.bench $(ARGS)

bench-pull: $(READY) ## p95 of typical pulls with the public data loaded ten times over; ARGS="--engine sqlite"
	$(BIN)/python -m tests.bench.pull $(ARGS)

bench-policy: $(READY) ## median of a decision and an explanation at 50 partners and 20 products
	$(BIN)/python -m tests.bench.policy

conformance: $(READY) ## programs of others (curl, openssl, nginx, HAProxy and more) against a running gateway, and the public data
	.ci/tools curl openssl nginx haproxy promtool systemd-analyze node npm
	$(BIN)/pytest -q -n 2 --dist loadfile -m "conformance or data" $(ARGS)

soak: $(READY) ## kill -9 at random moments, on each engine, and whatever else takes minutes
	$(BIN)/pytest -q -m slow $(ARGS)

fuzz: $(READY) ## look for input that breaks a parser: SECONDS=60 on each, TARGETS="note proof" on some
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(TARGETS)

lock: $(READY) ## pin every package again
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --strip-extras --allow-unsafe --no-annotate --no-header --all-extras --output-file requirements.lock pyproject.toml
	@sed -i '1i # SPDX-License-Identifier: Apache-2.0\n# Every package of every extra, pinned by version and by the SHA-256 of what is published. Made by `make lock`.' requirements.lock

clean: ## remove what was installed and built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
