PYTEST := .venv/bin/python -m pytest
# Whole files go to the workers: their tests share what is slow to make.
WORKERS := --numprocesses auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup test test-long lint unit integration demo bench install lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
	while IFS='|' read -r target text; do printf '  %-12s %s\n' "$$target" "$$text"; done

setup: ## install what is missing: system tools (as root), .venv
	@scripts/setup

test: lint ## lint, types, all tests but the long ones
	$(PYTEST) $(WORKERS) -m "not long"

test-long: setup ## the tests with big numbers
	$(PYTEST) -m long --hypothesis-profile=long

lint: setup ## format, style, types, import order
	@scripts/lint

unit: setup ## the tests that need no network devices
	$(PYTEST) $(WORKERS) -m "not integration and not long"

integration: setup ## the tests with network namespaces and kernel devices
	$(PYTEST) $(WORKERS) -m "integration and not long"

demo: setup ## three hosts, one overlay, on this machine
	@scripts/demo

bench: setup ## measure varpd beside its peers; ONLY=NAME,... some of it; SIZE=full more overlays
	@scripts/bench $(if $(ONLY),--only $(ONLY))

install: ## put the program and all that belongs to it below DESTDIR, for PREFIX (/usr/local)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' PYTHON='$(PYTHON)' scripts/install

lock: setup ## bring requirements.lock in line with pyproject.toml
	scripts/lock

clean: ## remove all that the other targets made in this directory
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +
