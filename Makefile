# Needs Python 3.11 or newer and make; everything else goes into .venv. `make PYTHON=python3.13 test` uses another Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECONDS_EACH ?= 150
RELAY ?= --now --rate 500
SIMULATED := RELAY_URL=ws://127.0.0.1:2471 PLC_URL=http://127.0.0.1:2582 PLC_RATE=100 ALLOW_PRIVATE_HOSTS=on DNS_SERVERS=127.0.0.1:2585
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --upgrade --quiet --custom-compile-command "make lock"
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
SUITE := $(BIN)/python -m pytest -n 4 --dist worksteal
FUZZ := $(VENV)/.installed-fuzz
DOCS := $(VENV)/.installed-docs

.PHONY: help run relay follow demo test test-all soak faults fuzz mutants proof check docs spell format hooks coverage sql lock bench clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-9s %s\n", $$1, $$2 }'

# exec, so that signals reach the worker itself.
run: $(RUN)  ## follow the relay into an embedded PostgreSQL (data in ./data/postgres; settings: .env)
	@exec $(BIN)/python unified_worker.py --embedded

relay: $(DEV)  ## a simulated relay at ws://127.0.0.1:2471, with its accounts' directory and hosts (RELAY='--now --rate 500')
	@exec $(BIN)/python -u -m relay_simulator $(RELAY)

follow: $(RUN)  ## as make run, but it follows make relay, and asks its directory and hosts (data in ./data/simulated)
	@exec env $(SIMULATED) $(BIN)/python unified_worker.py --embedded data/simulated

demo: $(DEV)  ## 30 seconds of a simulated relay, then what is in the database (DEMO='--seconds 300': longer)
	@$(BIN)/python -m benchmarks.demo $(DEMO)

test: $(DEV)  ## the test suite, some 5 minutes (T=tests/pipeline: only these; T='-k lanes'; PROMISE=2: of that promise)
	$(SUITE) $(if $(T)$(PROMISE),-m "not soak",-m "not soak and not long") $(if $(PROMISE),--promise $(PROMISE)) $(T)

test-all: $(DEV)  ## the suite and its long end-to-end runs, some 12 minutes
	$(SUITE) -m "not soak"

soak: $(DEV)  ## the long runs
	$(BIN)/python -m pytest -m soak --timeout 7200

faults: $(DEV)  ## relay, network, database and process fail, alone and together, 10 to 40 minutes (FAULTS='--help')
	@$(BIN)/python -m testing.faults $(FAULTS)

fuzz: $(FUZZ)  ## ten minutes of hostile frames, CARs, records and trees, by atheris (Linux; SECONDS_EACH=150: for each target)
	$(BIN)/python -m testing.fuzz --seconds $(SECONDS_EACH)

mutants: $(DEV)  ## known small bugs, each of which the tests must find, under 30 minutes (MUTANTS='name …': only these)
	$(BIN)/python -m testing.mutants $(MUTANTS)

proof: $(DEV)  ## the long proofs, one after the other, a day or so (PROOF='--list'; PROOF='mutants faults --write')
	@$(BIN)/python -m testing.proof $(PROOF)

check: $(DEV)  ## lint, format, spelling, types, known vulnerabilities of what is installed
	$(BIN)/python -m pip check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/codespell
	@$(BIN)/python -m testing.dependency_audit

docs: $(DOCS)  ## the documents as a site, in build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --quiet --strict

spell: $(DEV)  ## spelling alone
	$(BIN)/codespell

format: $(DEV)  ## put the sources into the format that check asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(DEV)  ## the checks that take seconds, before each commit
	$(BIN)/pre-commit install

coverage: $(DEV)  ## which lines the suite runs, by module
	$(SUITE) -m "not soak" --cov --cov-branch --cov-report=term:skip-covered $(T)

sql: $(DEV)  ## the generated SQL functions, as tests/project/snapshots/functions.sql has them
	@$(BIN)/python -m testing.print_sql

# Each lock holds the versions of the one before it, so that all who install from them run the same.
lock: $(DEV)  ## newest versions that requirements*.txt allow, into requirements*.lock
	$(LOCK) requirements.txt --output-file requirements.lock
	$(LOCK) requirements.txt requirements-embedded.txt --constraints requirements.lock --output-file requirements-embedded.lock
	$(LOCK) requirements-dev.txt --constraints requirements-embedded.lock --output-file requirements-dev.lock
	$(LOCK) requirements-fuzz.txt --constraints requirements-dev.lock --output-file requirements-fuzz.lock
	$(LOCK) requirements-docs.txt --constraints requirements-dev.lock --output-file requirements-docs.lock

bench: $(DEV)  ## measure throughput and latency, about 5 minutes (BENCH=--quick: one, BENCH=--long: half an hour; BENCH=--shares, BENCH=--partitions: what these cost)
	@$(BIN)/python -m benchmarks.bench $(BENCH)

clean:  ## remove .venv and caches; data stay
	rm -rf $(VENV) .coverage dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than the files that it was installed from, or make installs again.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, this is $$($(PYTHON) --version): make PYTHON=python3.13 ..." >&2; exit 1; }
	@echo "First the packages, into $(VENV): this takes half a minute or so"
	@$(PYTHON) -m venv $(VENV) || { echo "(Debian, Ubuntu: apt-get install python3-venv)" >&2; rm -rf $(VENV); exit 1; }
	@touch $@

$(RUN): $(VENV)/.created requirements-embedded.lock
	$(PIP) -r requirements-embedded.lock
	@touch $@

$(DEV): $(VENV)/.created requirements-dev.lock
	$(PIP) -r requirements-dev.lock
	@touch $(RUN) $@

$(FUZZ): $(DEV) requirements-fuzz.lock
	$(PIP) -r requirements-fuzz.lock || { echo "make fuzz needs atheris, which has no wheel for this Python or platform" >&2; exit 1; }
	@touch $@

# Without the packages of the tests: who builds the site alone, needs none of them.
$(DOCS): $(VENV)/.created requirements-docs.lock
	$(PIP) -r requirements-docs.lock
	@touch $@
