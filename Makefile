# SealGate: every job is `make <name>`; `make help` lists them.
# Needs python3 (3.11 or newer) and the package registries; everything is installed into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input -q install
STORAGE ?= local
OUT ?= demo-out
WORKERS ?= 2
ARGS ?=

BASE := $(VENV)/.base-installed
DEV := $(VENV)/.dev-installed

.PHONY: help demo serve test check format lint types contracts fmt bench bench-peers soak pictures lock clean

help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  STORAGE=minio with demo keeps the objects in a real MinIO; ARGS=… goes to pytest."

$(PY):
	@PYTHON=$(PYTHON) deploy/python-env $(VENV)

$(BASE): requirements/build.txt requirements/base.txt setup.cfg pyproject.toml | $(PY)
	@echo "Installing the pinned dependencies into $(VENV) …"
	@$(PIP) --require-hashes --only-binary :all: -r requirements/build.txt -r requirements/base.txt
	@$(PIP) --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(DEV): requirements/dev.txt $(BASE)
	@echo "Installing the tools of the tests into $(VENV) …"
	@$(PIP) --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

ifeq ($(STORAGE),minio)
RUNTIME := $(DEV) minio
else
RUNTIME := $(BASE)
endif

.PHONY: minio
minio: $(DEV)
	@$(PY) tests/services/minio.py build

demo: $(RUNTIME)  ## do the main job over HTTP and leave its results in demo-out/
	@$(VENV)/bin/sealgate demo --storage $(STORAGE) --out $(OUT)

serve: $(BASE)  ## leave the portal up with demo accounts
	@$(VENV)/bin/sealgate serve --demo

test: $(DEV)  ## run all checks: format, lint, types, contracts, tests with real services and a browser
	@deploy/test-tools
	@$(PY) tests/services/minio.py build
	@$(PY) tests/services/litewitness.py build >/dev/null
	@$(MAKE) check
	@$(PY) -m pytest -q -n $(WORKERS) --dist loadfile $(ARGS)

check: format lint types contracts  ## format, lint, types and import contracts only

format: $(DEV)
	@$(VENV)/bin/ruff format --check --output-format concise . >$(VENV)/format.log \
		|| { grep unformatted $(VENV)/format.log; echo "Run make fmt."; exit 1; }

lint: $(DEV)
	@$(VENV)/bin/ruff check --quiet .

types: $(DEV)
	@$(VENV)/bin/mypy --no-error-summary

contracts: $(DEV)
	@$(VENV)/bin/lint-imports --no-cache

fmt: $(DEV)  ## format the code and fix what the linter can
	@$(VENV)/bin/ruff check --fix --quiet . || true
	@$(VENV)/bin/ruff format --quiet .

bench: $(DEV)  ## measure ratios, print them and write bench-out/results.json
	@$(PY) -m tests.bench

bench-peers: $(DEV)  ## install what the benchmarks compare with (PyMuPDF is AGPL: measured, never shipped)
	@$(PIP) --target $(VENV)/peers --upgrade pymupdf pypdf
	@GOBIN=$(CURDIR)/$(VENV)/peers/bin $(shell command -v go || echo $(VENV)/bin/go) install github.com/pdfcpu/pdfcpu/cmd/pdfcpu@latest

soak: $(DEV)  ## run what takes long: kills, fuzzing, load, drills
	@deploy/test-tools
	@$(PY) tests/services/minio.py build
	@$(PY) tests/services/litewitness.py build >/dev/null
	@HYPOTHESIS_PROFILE=soak $(PY) -m pytest -q -m soak $(ARGS)

pictures: $(DEV)  ## take the README's pictures anew, of a portal with demo data
	@deploy/test-tools
	@$(PY) -m tests.browser.pictures docs/pictures

LOCK := $(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet --upgrade

lock: | $(PY)  ## compile the pinned requirements anew
	@[ -x $(VENV)/bin/uv ] || $(PIP) uv
	@$(LOCK) requirements/build.in -o requirements/build.txt
	@$(LOCK) requirements/base.in -o requirements/base.txt
	@$(LOCK) -c requirements/base.txt requirements/dev.in -o requirements/dev.txt

clean:  ## remove the environment and everything generated
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-out demo-out
