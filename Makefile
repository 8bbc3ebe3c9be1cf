# Needs Python 3.11 or later and make. Everything else goes into .venv, at the versions of constraints.txt.
.DEFAULT_GOAL := help
.PHONY: help setup containers postgresql demo demo-container test docs versions ordeal bench check format constraints clean

BIN := .venv/bin
WORKERS ?= auto
SECONDS ?= 300
export PYTHON

help:    ## show this
	@sed -n 's/^\([a-z-]*\): *## /  make \1	/p' Makefile

demo:    ## train a real model over a grid of 36 configurations, start to end
	@tools/setup demo
	@$(BIN)/maestro demo

demo-container: ## the same inside a container image, which it packs first (Apptainer)
	@tools/setup demo
	@$(BIN)/python -m orchestra.demo.pack_image demo-output/digits.sif
	@$(BIN)/maestro demo --containerImage demo-output/digits.sif

test:    ## run all tests (WORKERS=n at a time; SERVER=debian15 or embedded: with that PostgreSQL alone)
	@tools/setup dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(SERVER),--server $(SERVER)) $(TESTS)

versions: ## try the lowest and highest versions that are allowed, and other Pythons (PYTHONS="PATH ...")
	@tools/setup dev
	@$(BIN)/python tools/check_versions.py $(PYTHONS)

ordeal:  ## attack real pilots and PostgreSQL with kill -9 and worse, for SECONDS (300); SEED=n does one again
	@tools/setup dev
	@PYTHONPATH=tests $(BIN)/python -m ordeal.run --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) \
		$(if $(ROUND),--round $(ROUND)) $(if $(MISHAPS),--mishaps $(MISHAPS)) $(if $(filter yes,$(RESTORE)),--restore) $(if $(filter no,$(RESTORE)),--no-restore)

bench:   ## measure speed and scale beside others, about a quarter of an hour; writes docs/performance.md
	@tools/setup bench
	@$(BIN)/python -m bench

docs:    ## build the documentation as a site, in site/; every link is checked
	@tools/setup docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html; with its search: python3 -m http.server -d site"

check:   ## formatter, linter, types and the direction of imports
	@tools/setup dev
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

format:  ## format the code and repair what the linter can
	@tools/setup dev
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

setup:   ## make .venv, with the tools for development
	@tools/setup dev

containers: ## install podman and a real Apptainer for the tests of containers (Debian, root)
	@tools/install-containers

postgresql: ## install the PostgreSQL 15 of Debian 12 for the tests (Debian, root); starts no server
	@tools/install-postgresql

constraints: ## install the newest versions and write constraints.txt
	@tools/constraints

clean:   ## remove .venv and everything that was made
	@rm -rf .venv build dist site .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
