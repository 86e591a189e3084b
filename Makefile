# `make demo` runs the main job on the local lab, `make test` proves everything. Both set up what they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv/bin
export PATH := $(CURDIR)/$(VENV):$(PATH)
# Images of containers often set it; each command would then compile boto3 and Ansible anew, a second of processor time.
unexport PYTHONDONTWRITEBYTECODE
export ANSIBLE_HOME ?= $(CURDIR)/.ansible

.PHONY: help setup setup-test demo lab lab-down check test unit lint sanity molecule integration build bench matrix docs docs-site clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

setup:  ## .venv with what a launch and the lab need
	@scripts/setup run

setup-test:
	@scripts/setup test

demo: setup  ## Launch, watch, sync and close an experiment on the local lab
	@scripts/demo

lab: setup  ## Start the lab and keep it up
	@lab/lab up
	@echo 'Now type:  eval "$$(lab/lab env)"  and any AWS tool talks to it; `make lab-down` ends it.'

lab-down: setup  ## End the lab; nothing of it remains
	@lab/lab down

# Side by side, because ansible-lint uses one core for half of its time; each shows its output when it has ended.
check: setup-test  ## Lint, types and unit tests: the everyday subset
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target lint unit

test: setup-test  ## Everything
	@scripts/test

lint: setup-test  ## ruff, mypy, shellcheck, cfn-lint, ansible-lint (production) with yamllint, changelog
	@scripts/lint

unit: setup-test  ## Unit tests, without those that take seconds (`make test` runs them too)
	@$(VENV)/pytest -n 2 --dist worksteal -m "not lab and not slow" tests/unit

sanity: setup-test  ## ansible-test sanity and antsibull-docs over the collection
	@scripts/sanity

molecule: setup-test  ## One scenario a role on machines of the lab
	@scripts/molecule

integration: setup-test  ## Whole runs on the lab
	@$(VENV)/pytest -m lab tests/integration

build: setup-test  ## The collection's tarball, read by galaxy-importer, installed and used
	@scripts/build

bench: setup  ## Ratios side by side; numbers go to bench/results/
	@$(VENV)/python -m bench

matrix: setup  ## Unit tests with the oldest and the newest versions that are supported
	@scripts/matrix

docs: setup-test  ## What docs/ holds of the sources anew (profile.md, reference.md, policies), then the site
	@PYTHONPATH=collections $(VENV)/python -m ansible_collections.experiments.spot.plugins.plugin_utils._profile.docs docs/profile.md
	@$(VENV)/python scripts/reference.py
	@$(VENV)/python scripts/permissions.py
	@$(VENV)/python scripts/docs_site.py

docs-site: setup-test  ## Only the site: the documentation in build/site, all links checked
	@$(VENV)/python scripts/docs_site.py

clean:  ## Remove what was built here
	rm -rf .venv .ansible .cache .hypothesis build results .pytest_cache .mypy_cache .ruff_cache
