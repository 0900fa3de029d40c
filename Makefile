# The verbs of the workshop; CONTRIBUTING.md says which does what.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_SECONDS ?=

# What the tests need beyond Python; only `make system-deps` installs it.
SYSTEM_PACKAGES := gcc iproute2 lldpd make mmdebstrap openssl prometheus prometheus-alertmanager \
	prometheus-node-exporter python3-dev python3-venv systemd systemd-container

# Real training needs PyTorch, 900 MB of it: CI has it, others get it by `make .venv/training`.
ifeq ($(CI),true)
TEST_ENVIRONMENT := $(VENV)/training
else
TEST_ENVIRONMENT := $(VENV)/ready
endif

.DEFAULT_GOAL := help
.PHONY: help run demo test test-gpu check lint golden bench evaluate soak lab deb wheels \
	system-deps clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 16

$(VENV)/ready: agent/pyproject.toml analyzer/pyproject.toml pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "railwatch needs Python 3.11 or newer as '$(PYTHON)'" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "railwatch needs Python's venv: on Debian, apt-get install python3-venv" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt pip
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		--group dev -e 'agent[web]' -e 'analyzer[offline]'
	@touch $@

$(VENV)/training: constraints.txt | $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --group training
	@touch $@

run: $(VENV)/ready ## agent and analyzer on this machine's NICs, live (RUN_SECONDS=30 ends by itself)
	@deploy/try/run.sh $(BIN) "$(RUN_SECONDS)"

demo: $(VENV)/ready ## a simulated cluster, a fault, and what railwatch says of it
	@$(BIN)/railwatch-analyzer demo

test: $(TEST_ENVIRONMENT) ## every tier of tests that this machine permits
	$(BIN)/pytest --tiers beside --numprocesses 2 || test $$? -eq 5 # 5: no test of such a tier
	$(BIN)/pytest --tiers alone || test $$? -eq 5

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## lint, types, import contracts, generated files, then the tests
	$(BIN)/python tests/golden.py --check
	$(MAKE) test

golden: $(VENV)/ready ## rewrite generated files; review them as a diff
	$(BIN)/python tests/golden.py
	RAILWATCH_GOLDEN=1 $(BIN)/pytest -q -k golden

test-gpu: $(VENV)/ready ## the read-only tests on this machine's own NVIDIA driver, if it has one
	@if PYTHONPATH=tests $(BIN)/python -m gpu.present; \
		then $(BIN)/pytest tests/gpu/real_driver.py; \
		else echo "no NVIDIA driver on this machine: nothing was tested"; fi

bench: $(VENV)/ready ## costs, side by side in one run
	PYTHONPATH=tests $(BIN)/python -m bench.agent
	PYTHONPATH=tests $(BIN)/python -m bench.latency
	PYTHONPATH=tests $(BIN)/python -m bench.gpu
	PYTHONPATH=tests $(BIN)/python -m bench.steps

evaluate: $(VENV)/ready ## what is found, how fast, how often in vain; writes EVALUATION.md
	PYTHONPATH=tests $(BIN)/python -m evaluate

soak: $(VENV)/ready ## does the agent grow? an hour; writes SOAK.md
	PYTHONPATH=tests $(BIN)/python -m bench.soak

lab: $(VENV)/training ## long statistics in network namespaces (root); writes LAB.md, TRAINING.md
	PYTHONPATH=tests $(BIN)/python -m lab.study
	PYTHONPATH=tests $(BIN)/python -m training.study

deb: $(VENV)/ready ## the Debian package of the agent, into dist/ (VERSION=1.2-3 for another version)
	@deploy/debian/build.sh $(BIN) dist $(VERSION)

wheels: $(VENV)/ready ## both distributions as wheels, into dist/
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--wheel-dir dist ./agent ./analyzer

# Tests start what they need themselves: while the packages are installed, policy-rc.d(8) keeps their
# services from being started on this machine, lldpd on its networks above all.
system-deps: ## the Debian packages that all tiers of tests need (root)
	apt-get update -qq
	@policy=/usr/sbin/policy-rc.d; \
	if ! test -e $$policy; then \
		trap "rm -f $$policy" EXIT; \
		printf '#!/bin/sh\nexit 101\n' >$$policy && chmod 755 $$policy; \
	fi; \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		$(SYSTEM_PACKAGES) >/dev/null

clean:
	rm -rf $(VENV) build dist
