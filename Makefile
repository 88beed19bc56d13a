# `make test` on a fresh machine with Python 3.11: sets up .venv, then every check and test.
# `make demo` plays a conversation against real parts. `make help` lists the rest.

PYTHON ?= python3
# Tests mostly wait: processes that share them.
JOBS   ?= 2
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The packages of runtimes' vendors, for `make test-runtimes` only.
RUNTIMES := .venv-runtimes
# Recorded calls beside the project, where there are any: the tests then play those too.
RECORDED_CALLS ?= $(wildcard ../shared/calls)
export RECORDED_CALLS
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: help setup setup-runtimes test test-runtimes test-lowest audit conformance check unit faults bench demo schema editors clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv with everything that tests and the demo need

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[nats,openai,postgres,serve]" --group dev
	@touch $@

test: check unit ## format, lint, types, layers, schema and all tests

check: $(READY) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(READY) ## the tests, configs and their call tests included
	$(BIN)/python -m pytest -n $(JOBS)

setup-runtimes: $(RUNTIMES)/.ready ## make .venv-runtimes with the vendors' packages

test-runtimes: $(RUNTIMES)/.ready ## the tests with the vendors' own packages, conformance included
	$(RUNTIMES)/bin/python -m pytest tests/runtimes

conformance: $(RUNTIMES)/.ready ## the table of the conformance suite, a column for each runtime
	$(RUNTIMES)/bin/python -m orchestrator.testing.conformance tests.runtimes.carriers:CARRIERS \
	  tests.relay_carriers:CARRIERS

# unpod declares Python 3.12 and websockets 13; it works with 3.11 and needs websockets 14.
$(RUNTIMES)/.ready: pyproject.toml
	test -x $(RUNTIMES)/bin/python || $(PYTHON) -m venv $(RUNTIMES)
	$(RUNTIMES)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(RUNTIMES)/bin/python -m pip install --quiet --editable ".[openai,serve,unpod,livekit,pipecat]" --group dev
	$(RUNTIMES)/bin/python -m pip install --quiet --ignore-requires-python unpod==0.5.0 "websockets>=14"
	@touch $@

test-lowest: ## the tests with the lowest versions that pyproject.toml allows, in .venv-lowest
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-lowest/bin/python tests/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/constraints.txt \
	  --editable ".[nats,openai,postgres,serve,unpod]" --group dev
	.venv-lowest/bin/python -m pytest -q --ignore tests/faults

# What cannot be looked up is a failure: a package that nobody asked about is not clean.
audit: ## known holes in what an installation with all extras gets; asks a service on the net
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	test -x .venv-audit/app/bin/python || $(PYTHON) -m venv .venv-audit/app
	.venv-audit/bin/python -m pip install --quiet pip-audit
	.venv-audit/app/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-audit/app/bin/python -m pip install --quiet ".[nats,openai,postgres,serve,unpod]"
	.venv-audit/app/bin/python -m pip freeze --exclude hook-orchestrator > .venv-audit/found.txt
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement .venv-audit/found.txt

faults: $(READY) ## kill, starve and deceive the delivery, in full: minutes; `make unit` has a short form
	FAULTS=full $(BIN)/python -m pytest -q tests/faults

bench: $(READY) ## the benchmarks, as ratios to a named alternative
	$(BIN)/python -m benchmarks

schema: $(READY) ## write schema/orchestrator.schema.json and docs/actions.md anew
	$(BIN)/orchestrator schema > schema/orchestrator.schema.json.new
	mv schema/orchestrator.schema.json.new schema/orchestrator.schema.json
	$(BIN)/orchestrator actions --format markdown > docs/actions.md

editors: $(READY) ## our schema in check-jsonschema (PyPI) and yaml-language-server (npm), beside validate
	test -x .venv-editors/bin/check-jsonschema || { $(PYTHON) -m venv .venv-editors && \
	  .venv-editors/bin/python -m pip install --quiet check-jsonschema; }
	test -d .venv-editors/node_modules/yaml-language-server || \
	  npm install --silent --no-save --prefix .venv-editors yaml-language-server
	$(BIN)/python tests/editors/compare.py .venv-editors/bin/check-jsonschema \
	  .venv-editors/node_modules/yaml-language-server/out/server/src/server.js

demo: $(READY) ## play a conversation through support-line.yaml with a CRM and a webhook receiver
	$(BIN)/python -m configs.demo

clean: ## remove what was made
	rm -rf $(VENV) $(RUNTIMES) .mypy_cache .ruff_cache .pytest_cache build dist demo journals
