# Needs make and Python 3.11 or newer; everything else goes into $(VENV).
# `make PYTHON=/path/to/python run` chooses the interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test check bench kafka postgres run-cluster format lock clean

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

run: $(VENV)/run.stamp ## start every part of the hub in one process
	exec $(BIN)/nrm-hub run

run-cluster: $(VENV)/run.stamp ## the same in processes apart, over PostgreSQL and three Kafka brokers
	exec $(BIN)/python -m services.local cluster

kafka: $(VENV)/run.stamp ## start Kafka brokers on this machine; NODES=3 for three, TLS=1 encrypted
	exec $(BIN)/python -m services.local kafka --nodes $(or $(NODES),1) $(if $(filter 1,$(TLS)),--tls)

postgres: $(VENV)/run.stamp ## start PostgreSQL on this machine
	exec $(BIN)/python -m services.local postgres

test: $(VENV)/dev.stamp ## run the tests
	$(BIN)/python -m pytest

check: $(VENV)/dev.stamp ## check format, lint, types, import rules and schemas
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.lint

bench: $(VENV)/dev.stamp ## measure; ONLY=name,name for some of them
	$(BIN)/python -m tests.bench

format: $(VENV)/dev.stamp ## rewrite the source in the house format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Hashes of every file of a release are kept, so a lock serves each platform. Unlocked, newer
# versions are taken with `make lock COMPILE='pip-compile --upgrade'`.
COMPILE ?= pip-compile
lock: export CUSTOM_COMPILE_COMMAND = make lock
lock: ## pin requirements/ anew from pyproject.toml; needs pip-tools
	$(COMPILE) $(LOCK_FLAGS) --output-file requirements/run.txt pyproject.toml
	$(COMPILE) $(LOCK_FLAGS) --extra dev --constraint requirements/run.txt \
		--output-file requirements/dev.txt pyproject.toml
LOCK_FLAGS = --quiet --generate-hashes --allow-unsafe --build-deps-for editable --strip-extras \
	--no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate

clean: ## remove what the other targets made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		.kafka tests/clients/node_modules tests/clients/.apicurio
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock also pins what builds the package, so the install needs no build environment of its own.
$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "nrm-hub needs Python 3.11 or newer; name it with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) --require-hashes --requirement requirements/run.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(INSTALL) --require-hashes --requirement requirements/dev.txt
	touch $@
