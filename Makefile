# One command each: make run, make test. On a machine with Python 3.11-3.13 and make, both do all the set-up.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
BENCHMARK_VENV ?= .venv-benchmark
PORT ?= 8501

.PHONY: run test test-slow lint audit hosted-check format screenshots benchmark-environment clean

run: $(VENV)/requirements.stamp
	$(BIN)/streamlit run app.py --server.port $(PORT) --server.address localhost

test: $(VENV)/requirements-dev.stamp $(VENV)/browser.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	# building a network keeps one core busy; the tests of a file share what their first one loads
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" tests/unit tests/app
	$(BIN)/python -m pytest tests/browser              # alone: it watches the clock

# Many or large networks, killed processes, clusters: what a quarter of an hour has no room for.
test-slow: $(VENV)/requirements-dev.stamp
	$(BIN)/python -m pytest -n 2 -m slow tests/unit tests/app

lint: $(VENV)/requirements-dev.stamp audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile

# Known vulnerabilities of what is installed. Not part of make test: it asks the network, and its answer changes by itself.
# make audit AUDIT=--required fails where the advisories cannot be reached.
audit: $(VENV)/requirements-dev.stamp
	@$(BIN)/pip-audit --local --format json --progress-spinner off --timeout 15 2>/dev/null \
		| $(BIN)/python .ci/audit.py $(AUDIT)

# The image's steps without a container engine; see benchmarks/hosted.py.
hosted-check: $(VENV)/requirements-dev.stamp
	$(BIN)/python -m benchmarks.hosted

format: $(VENV)/requirements-dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Renews the baselines of the screenshot tests; look at the difference before committing it.
screenshots: $(VENV)/requirements-dev.stamp $(VENV)/browser.stamp
	$(BIN)/python -m pytest tests/browser --renew-screenshots

# The other side of the benchmarks: PyTorch, timm and pytorch-grad-cam, 6 GB. Never mixed with the project's own.
benchmark-environment: $(BENCHMARK_VENV)/requirements.stamp

clean:
	rm -rf $(VENV) $(BENCHMARK_VENV) .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Expected Python 3.11, 3.12 or 3.13 on this machine. Found none; install one."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/requirements.stamp: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/requirements-dev.stamp: requirements-dev.txt requirements-hosted.txt requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/requirements.stamp

$(BENCHMARK_VENV)/requirements.stamp: requirements-benchmark.txt
	@test -n "$(PYTHON)" || { echo "Expected Python 3.11, 3.12 or 3.13 on this machine. Found none; install one."; exit 1; }
	$(PYTHON) -m venv $(BENCHMARK_VENV)
	$(BENCHMARK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-benchmark.txt
	@touch $@

# The browser tests take the Chromium that is there, else Debian's where we may install it, else Playwright's own.
$(VENV)/browser.stamp: $(VENV)/requirements-dev.stamp
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
			&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
		|| $(BIN)/playwright install chromium
	@touch $@
