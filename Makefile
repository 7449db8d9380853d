# Two commands for a fresh machine with Python >= 3.11 and make: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check nightly docs bench fuzz mutants lock clean

run: .venv/demo
	@$(BIN)/gateway demo

# Installs only what the demo needs; `make test` adds the rest. The output of pip is shown if it fails.
.venv/demo: pyproject.toml | .venv/python
	@echo "Installing the gateway and an S3 server for the demo into .venv, once: half a minute or so …"
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[demo]' > .venv/demo.log 2>&1 \
	  || { cat .venv/demo.log; exit 1; }
	@touch $@

# Three workers for two cores: tests also wait.
test check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 3 --dist worksteal

# Tests the code that uses aiohttp with the lowest version that pyproject.toml allows; `make test` uses the newest.
LOWEST := $(shell sed -n 's/^ *"aiohttp>=\([0-9.]*\),.*/\1/p' pyproject.toml)
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/pytest -n 2 --dist worksteal tests/server tests/http tests/test_pipeline.py

.venv-lowest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
	  -e . aiohttp==$(LOWEST) hypothesis pytest pytest-aiohttp pytest-xdist
	touch $@

# Builds the manual as a site, in build/docs. --strict fails on broken links, but would not with --quiet.
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=true .venv-docs/bin/mkdocs build --strict --config-file docs/mkdocs.yml

# Installs only what builds the manual: the extra `docs`, without the gateway.
.venv-docs/installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' \
		> .venv-docs/requirements.txt
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r .venv-docs/requirements.txt
	touch $@

# Runs the same tests with many more cases: some half an hour.
nightly: .venv/installed
	GATEWAY_NIGHTLY=1 $(BIN)/pytest -n 2 --dist worksteal

bench: .venv/installed
	$(BIN)/python -m tests.bench

fuzz: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz

mutants: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[mutants]'
	$(BIN)/python -m tests.mutants

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "gateway needs Python 3.11 or later; run: make PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: pyproject.toml | .venv/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

# Renews the versions that the image installs. Run it after a change of dependencies, or to take newer ones.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'
lock: .venv/installed
	$(LOCK) --extra workers --extra access --extra publish --extra ldap --extra otel --extra sql --output-file deploy/image.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) --output-file deploy/build.lock -

clean:
	rm -rf .venv .venv-lowest .venv-docs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
