# Needs make and Python 3.11 or newer. Everything else is installed into .venv, in the versions of constraints.txt.
.DEFAULT_GOAL := help
.PHONY: help setup containers postgresql chromium nginx slurm demo demo-container test docs versions ordeal bench check format constraints clean

BIN := .venv/bin
WORKERS ?= auto
SECONDS ?= 300
export PYTHON

help:    ## show this list
	@sed -n 's/^\([a-z-]*\): *## /  make \1	/p' Makefile

demo:    ## train 36 small neural networks over a grid of configurations
	@tools/setup demo
	@$(BIN)/maestro demo

demo-container: ## the same in a container image, which is packed first (Apptainer)
	@tools/setup demo
	@$(BIN)/python -m orchestra.demo.pack_image demo-output/digits.sif
	@$(BIN)/maestro demo --containerImage demo-output/digits.sif

test:    ## run all tests, or TESTS=PATH (WORKERS=n at a time; SERVER=debian15 or embedded: only with that PostgreSQL)
	@tools/setup dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(SERVER),--server $(SERVER)) $(TESTS)

versions: ## test the lowest and newest allowed versions, and other Pythons (PYTHONS="PATH ...")
	@tools/setup dev
	@$(BIN)/python tools/check_versions.py $(PYTHONS)

ordeal:  ## test with random failures (kill -9 and worse) for SECONDS (300); SEED=n repeats a run
	@tools/setup dev
	@PYTHONPATH=tests $(BIN)/python -m ordeal.run --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) \
		$(if $(ROUND),--round $(ROUND)) $(if $(filter yes,$(POOLS)),--pools) $(if $(MISHAPS),--mishaps $(MISHAPS)) $(if $(filter yes,$(RESTORE)),--restore) $(if $(filter no,$(RESTORE)),--no-restore)

bench:   ## measure speed and scale beside other programs (40 minutes); writes docs/performance.md
	@tools/setup bench
	@$(BIN)/python -m bench

docs:    ## build the documentation as a site in site/, and check its links
	@tools/setup docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html; for its search: python3 -m http.server -d site"

check:   ## check format, lint, types and the direction of imports
	@tools/setup dev
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

format:  ## format the code, and fix what the linter can
	@tools/setup dev
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

setup:   ## create .venv with the development tools
	@tools/setup dev

containers: ## install podman, Docker and Apptainer for the container tests (Debian, root)
	@tools/install-containers

postgresql: ## install PostgreSQL 15 of Debian 12 for the tests, without starting a server (Debian, root)
	@tools/install-postgresql

nginx:   ## unpack Debian's nginx for the test of a server behind it (Debian, root)
	@tools/install-nginx

slurm:   ## install Debian's Slurm for the tests of pools, without starting it (Debian, root)
	@tools/install-slurm

chromium: ## install Debian's Chromium for the tests of pages (Debian, root)
	@tools/install-chromium

constraints: ## write constraints.txt with the newest versions
	@tools/constraints

clean:   ## remove .venv and all generated files
	@rm -rf .venv build dist site .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
