# Tallystick. `make help` lists what there is.
# One shell function a problem that a user can have: each says what, and the way out.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-kafka test test-fast test-only test-long test-clients lint lint-types lint-rest measure format bench bench-kafka lock clean distclean
MAKEFLAGS += --no-print-directory
# Each of the product's ten processes would compile all of its packages anew at every start.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?=
KAFKA_HOME := $(or $(TALLY_HOME),$(CURDIR)/.tally-kafka)
export TALLY_HOME := $(or $(TALLY_HOME),$(CURDIR)/.tally)
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
CODE := sdk ledger ingest streams alerting warehouse audit dashboards tally benchmarks tests tools

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(BIN)/.platform ## the environment in .venv, with the command tally
	@echo "ready: $(BIN)/tally --help"

demo: $(BIN)/.platform ## a realistic organization that lives, on loopback; Ctrl-C ends it, its data stays
	@exec $(BIN)/tally demo

demo-kafka: $(BIN)/.platform ## the same on an Apache Kafka of its own, in a home of its own (.tally-kafka)
	@TALLY_HOME="$(KAFKA_HOME)" TALLY_LOG=kafka:// exec $(BIN)/tally demo

# A file's tests share what they set up, and the longest files come first (tests/conftest.py), so that no worker waits
# for another at the end. Three workers keep two cores busy: half of the time tests wait for what other processes do.
TESTS ?= tests
PYTEST := $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

test: $(BIN)/.dev lint ## everything that fits a quarter of an hour
	@tools/chromium
	@$(PYTEST) -m "not long"

test-fast: $(BIN)/.dev ## the files that take seconds each, without lint: 90 seconds for all
	@$(PYTEST) -m "not long and not slow"

test-only: $(BIN)/.dev ## the tests of some folders, without lint: make test-only TESTS="tests/sdk tests/ledger"
	@tools/chromium
	@$(PYTEST) -m "not long" $(TESTS)

test-long: $(BIN)/.dev lint ## every fault and every fuzz case
	@tools/chromium
	@$(PYTEST)

test-clients: $(BIN)/.platform .venv-clients/.ready ## objects and spans of real clients, in an environment of their own
	@PYTHONPATH=sdk .venv-clients/bin/python -m pytest -q -c tests/clients/pytest.ini --rootdir tests/clients \
		--confcutdir tests/clients tests/clients

lint: $(BIN)/.dev ## style, types, layers, words and SQL
	@$(MAKE) --jobs 2 lint-types lint-rest

lint-types: $(BIN)/.dev
	@$(BIN)/mypy

lint-rest: $(BIN)/.dev
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "make format puts it right" >&2; exit 1; }
	@$(BIN)/python tools/words.py
	@$(BIN)/python tools/measure.py
	@out=$$($(BIN)/lint-imports --no-logo) || { echo "$$out" >&2; exit 1; }
	@$(BIN)/sqlfluff lint --disable-progress-bar warehouse/schema dbt/models dbt/tests

measure: $(BIN)/.dev ## how the code reads, against the bounds of CONTRIBUTING.md
	@$(BIN)/python tools/measure.py

format: $(BIN)/.dev ## put the style right
	@$(BIN)/ruff check --quiet --fix $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

bench: $(BIN)/.dev ## the figures of docs/benchmarks.md that need no Kafka
	@for program in folds rating ingest rights.admissions rights.estimates rights.audit otlp sessions usage isolation client \
		sink verify pages attribution end_to_end latency alert_latency storage_size; do \
		$(BIN)/python -m benchmarks.$$program; done

bench-kafka: $(BIN)/.dev ## those over a broker, a quarter of an hour
	@for program in kafka.distributed "kafka.distributed 16000 3 1" kafka.fold_ceiling kafka.kills kafka.rebuild \
		kafka.recovery "sink --kafka" \
		"latency --kafka --rate 1000 --events 20000" \
		"latency --kafka --rate 10000 --events 100000"; do $(BIN)/python -m benchmarks.$$program; done

lock: $(BIN)/.platform ## resolve the requirements anew
	@$(COMPILE) --group build --no-emit-package tallystick pyproject.toml -o requirements/platform.txt
	@$(COMPILE) --group dev -c requirements/platform.txt -o requirements/dev.txt
	@$(COMPILE) requirements/clients.in -o requirements/clients.txt
	@echo uv | $(COMPILE) - -o requirements/uv.txt
	@$(BIN)/python tools/kafka-lock > .kafka.lock && mv .kafka.lock tally/local_kafka/kafka.lock

clean: ## forget the data folders (.tally and .tally-kafka, or what TALLY_HOME names)
	@tools/clean "$(TALLY_HOME)"
	@[ ! -d "$(KAFKA_HOME)" ] || tools/clean "$(KAFKA_HOME)"

distclean: clean ## forget the environment too
	@rm -rf .venv .venv-clients

$(BIN)/.platform: requirements/uv.txt requirements/platform.txt pyproject.toml sdk/pyproject.toml
	@tools/setup "$(PYTHON)"
	@touch $@

$(BIN)/.dev: $(BIN)/.platform requirements/dev.txt
	@tools/install requirements/dev.txt
	@touch $@

.venv-clients/.ready: requirements/clients.txt $(BIN)/.platform
	@rm -rf .venv-clients
	@$(BIN)/uv venv --quiet --python $(BIN)/python .venv-clients
	@$(BIN)/uv pip install --quiet --python .venv-clients/bin/python --require-hashes -r requirements/clients.txt || { \
		echo "requirements/clients.txt could not be installed: is the package index reachable?" >&2; exit 2; }
	@touch $@
