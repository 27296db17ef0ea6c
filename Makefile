# `make demo` and `make test` set up what they need; nothing else has to be typed first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LATEST := $(VENV)-latest
PEERS := $(VENV)-peers
PEERS_LLAMA := $(VENV)-peers-llama-index
BENCH := $(VENV)-bench
ORACLES := $(VENV)-oracles
MIGRATED := clients fireworks-0.15 langchain llama-index
ORACLE_NAMES := $(basename $(notdir $(wildcard tests/oracles/requirements/*.txt)))
DOCS ?= examples/handbook
BACKEND ?=
ASK ?=
export DOCS ASK BACKEND
SECONDS ?= 180
CALLS ?= 0
SEED ?= 0
QUICK ?=
ROWS ?= 20000

.PHONY: demo test docs test-migration test-browser test-latest test-oracles soak peers bench bench-bulk count lint types check constraints clean

demo: $(VENV)/.demo
	@$(BIN)/python examples/quickstart.py

# Clusters come last: they are several processes each, and their tests look at the clock.
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --ignore tests/cluster
	$(BIN)/python -m pytest tests/cluster

# The sandbox's page in a real browser, without a screen. Only root can install one.
test-browser: $(VENV)/.browser
	@test -n "$(CHROMIUM)" || command -v chromium > /dev/null || command -v chromium-browser > /dev/null || \
		command -v google-chrome > /dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get > /dev/null || \
			{ echo "Chromium is needed: apt-get install chromium"; exit 2; }; \
		echo "Installing Chromium ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium > /dev/null; }
	$(BIN)/python -m pytest tests/browser

# The frameworks' tests on the newest of both. langchain-core may want a newer certifi than the
# package index has: the override lifts that demand, which only uv can do.
test-latest: $(LATEST)/bin/uv
	@echo "Installing the newest versions in $(LATEST) ..."
	@echo 'certifi>=2024' > $(LATEST)/overrides.txt
	@$(LATEST)/bin/uv pip install --quiet --python $(LATEST)/bin/python --upgrade \
		--override $(LATEST)/overrides.txt -e '.[all,dev]'
	@$(LATEST)/bin/uv pip list --quiet --python $(LATEST)/bin/python | grep -E '^(langchain|llama-index|certifi)'
	$(LATEST)/bin/python -m pytest --numprocesses auto tests/langchain tests/llama_index tests/test_house.py

# Vendors' own clients, each in an environment of its own, judge what the sandbox answers.
test-oracles: $(VENV)/.dev $(ORACLE_NAMES:%=$(ORACLES)/%/.ready)
	ORACLES=$(ORACLES) $(BIN)/python -m pytest tests/oracles

# What the migration pages say: the code before runs on the packages that it was written for.
test-migration: $(VENV)/.dev $(MIGRATED:%=$(ORACLES)/%/.ready)
	ORACLES=$(ORACLES) $(BIN)/python -m pytest --numprocesses auto tests/docs/test_migration.py

# The documentation as a site, in site/. Every link in it is followed, except to other hosts.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	SITE=site $(BIN)/python -m pytest tests/docs/test_site.py
	@echo "The site is in site/: python3 -m http.server --directory site"

# A hundred calls at a time against random faults, for SECONDS or so many CALLS; then says what was
# lost, wrong or left behind. SEED repeats a run.
soak: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m soak.soak --seconds $(SECONDS) --calls $(CALLS) --seed $(SEED)

# Measures other packages beside this one, writes what it finds into the comparisons (each cell
# is measured three times and must not change), and tests that the pages say what is so.
peers: $(PEERS)/.ready $(PEERS_LLAMA)/.ready
	$(PEERS)/bin/python benchmarks/peers/compare.py langchain --write
	$(PEERS_LLAMA)/bin/python benchmarks/peers/compare.py llama-index --write
	$(PEERS)/bin/python benchmarks/peers/faults.py langchain --write
	$(PEERS_LLAMA)/bin/python benchmarks/peers/faults.py llama-index --write
	$(PEERS)/bin/python -m pytest tests/langchain/test_comparison.py
	$(PEERS_LLAMA)/bin/python -m pytest tests/llama_index/test_comparison.py

# What an event, a call, an import cost, beside other packages, each framework in an environment
# that has them; writes docs/performance.md. QUICK=1 takes two minutes, without them, and writes nothing.
ifeq ($(QUICK),)
bench: $(PEERS)/.ready $(BENCH)/.ready
	$(PEERS)/bin/python benchmarks/speed/run.py langchain --write
	$(BENCH)/bin/python benchmarks/speed/run.py llama-index --write
	$(BENCH)/bin/python benchmarks/speed/page.py
else
bench: $(VENV)/.dev
	$(BIN)/python benchmarks/speed/run.py --quick
endif

# Answers ROWS questions on a local Ray cluster of two workers while things break, says what came of
# each row, and measures it beside one process and LangChain's own batch. Twenty minutes.
bench-bulk: $(VENV)/.dev
	$(BIN)/python benchmarks/bulk/run.py --rows $(ROWS)

# Counts anew what one event and one call take in instructions; the tests allow a quarter more.
count: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m support.speed.count --write

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Creating a virtual environment in $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)

# The stamp says what was installed; pip is asked again only when the declarations change.
$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "Installing the test tools (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

$(VENV)/.browser: $(VENV)/.dev
	@echo "Installing the driver of the browser (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev,browser]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@echo "Installing what builds the site (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev,docs]'
	@touch $@

$(LATEST)/bin/uv:
	@$(PYTHON) -m venv $(LATEST)
	@$(LATEST)/bin/python -m pip install --quiet --disable-pip-version-check uv

$(PEERS)/.ready: pyproject.toml constraints.txt
	@echo "Installing the other packages in $(PEERS) (once) ..."
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[all,dev,peers]'
	@touch $@

# Two of these packages ask for a llama-index-llms-openai before 0.8, and all three for openai 2.
$(PEERS_LLAMA)/.ready: pyproject.toml constraints.txt
	@echo "Installing the other packages in $(PEERS_LLAMA) (once) ..."
	@$(PYTHON) -m venv $(PEERS_LLAMA)
	@$(PEERS_LLAMA)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@grep -o 'llama-index-llms-openai==[0-9.]*' pyproject.toml > $(PEERS_LLAMA)/overrides.txt
	@grep -v '^openai==' constraints.txt > $(PEERS_LLAMA)/constraints.txt
	@$(PEERS_LLAMA)/bin/uv pip install --quiet --python $(PEERS_LLAMA)/bin/python \
		-c $(PEERS_LLAMA)/constraints.txt --override $(PEERS_LLAMA)/overrides.txt \
		-e '.[all,dev,peers-llama-index]'
	@touch $@

# litellm asks for older and for newer versions than the ones that are tested.
$(BENCH)/.ready: pyproject.toml constraints.txt
	@echo "Installing the other packages in $(BENCH) (once) ..."
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@grep -vE '^(certifi|openai|python-dateutil)==' constraints.txt > $(BENCH)/constraints.txt
	@$(BENCH)/bin/uv pip install --quiet --python $(BENCH)/bin/python \
		-c $(BENCH)/constraints.txt -e '.[all,bench]'
	@touch $@

# One of the clients may want a newer certifi than the package index has, see test-latest.
$(ORACLES)/%/.ready: tests/oracles/requirements/%.txt | $(LATEST)/bin/uv
	@echo "Installing the clients of $* in $(ORACLES) (once) ..."
	@$(PYTHON) -m venv --clear --without-pip $(@D)
	@echo 'certifi>=2024' > $(@D)/overrides.txt
	@$(LATEST)/bin/uv pip install --quiet --python $(@D)/bin/python --override $(@D)/overrides.txt \
		--requirement $<
	@touch $@

# Pins the tested versions; no index options, so that no download address is recorded.
constraints: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --extra all --extra dev --extra sandbox-office --extra browser --extra docs --extra peers \
		pyproject.toml -o constraints.txt

clean:
	rm -rf site $(VENV) $(LATEST) $(PEERS) $(PEERS_LLAMA) $(BENCH) $(ORACLES) build dist .mypy_cache .pytest_cache .ruff_cache
