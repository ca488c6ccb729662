# `make demo` and `make test` are all there is to learn: each sets up what it needs, and the second reuses the first's.
# Needed: Python and make. With a C++ compiler the image kernels are native; without one numpy does their work.

.DEFAULT_GOAL := help
.PHONY: help demo demo-shapes test test-all lint types wheel package-test arm matrix matrix-check bench weights tracker-weights system-deps clean distclean

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
SUDO := $(shell test "$$(id -u)" = 0 || command -v sudo)
INSTALL := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

# The first builds the kernels. The second is a server for one test of RTSP, the third is the browser that the tests of
# the page drive, the fourth is for `make arm` and the cross-compiled tests; all of these say so where it is absent.
BUILD_DEPS := cmake g++ make
RTSP_DEPS := gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good python3-gi
BROWSER_DEPS := chromium
ARM_DEPS := g++-aarch64-linux-gnu qemu-user-static

# The first that runs, is new enough and can make virtual environments. Another one: make PYTHON=/path/to/python3 demo
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(shell for p in python3.11 python3; do "$$p" -c '$(USABLE)' 2>/dev/null && echo "$$p" && break; done)

help: ## say what can be typed
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## export the shipped tracker for three devices, prove it, follow a target, write video and contact sheet
	$(PY) -m edgevit.apps.demo

demo-shapes: $(READY) ## the same road with the shipped classifier
	$(PY) -m edgevit.apps.demo_shapes

test: $(READY) ## run the tests
	$(PY) -m pytest -m "not slow"

test-all: $(READY) ## run the slower rest: conversions of every family, training, int8
	$(PY) -m pytest -m slow

lint: $(READY) ## check style
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(READY) ## check types, tests included
	$(PY) -m mypy

wheel: $(READY) ## build sdist and wheel, with native kernels or not at all
	rm -rf dist
	EDGEVIT_NATIVE=1 $(PY) -m build --outdir dist .

package-test: wheel ## install the wheel into a clean environment without torch, and run a bundle there
	PYTHONPATH=tests/support $(PY) tests/packaging/run.py dist

arm: $(READY) ## run the kernels' tests and one model of each family on emulated Raspberry Pis
	$(PY) -m tests.arm.run

bench: $(READY) ## print the tables of benchmarks/
	for file in benchmarks/*.py; do $(PY) -m benchmarks.$$(basename $$file .py) || exit 1; done

matrix: $(READY) ## prove all models in all formats, and write the data and the page (hours; go on by typing it again)
	$(PY) -m edgevit matrix --out build/matrix.jsonl
	$(PY) -m edgevit.exporters.matrix.ship build/matrix.jsonl

# Which ten changes with every commit and every day: a shallow clone counts no commits, a tree without git has none.
TURN = $(shell echo $$(($$(git rev-list --count HEAD 2>/dev/null || echo 0) + $$(date +%j | sed 's/^0*//'))))
matrix-check: $(READY) ## prove ten cells of that table again, others each day
	$(PY) -m edgevit matrix --check --cells 10 --rotate $(TURN)

weights: $(READY) ## train the shipped classifier anew, into build/weights (15 minutes on two cores)
	$(PY) -m edgevit.training.shapes --out build/weights

tracker-weights: $(READY) ## train the shipped tracker anew from your photographs: make tracker-weights PICTURES=DIR (hours)
	$(PY) -m edgevit.training.tracking --pictures $(PICTURES) --out build/tracking --resume

system-deps: ## install the Debian packages that building, cross-testing, RTSP and the page's tests use (as root)
	$(SUDO) apt-get update -qq
	$(INSTALL) $(BUILD_DEPS)
	$(INSTALL) $(RTSP_DEPS) || echo "$(RTSP_DEPS) cannot be had here; the test of that server is skipped."
	$(INSTALL) $(BROWSER_DEPS) || echo "$(BROWSER_DEPS) cannot be had here; the tests of the page in a browser are skipped."
	$(INSTALL) $(ARM_DEPS) || echo "$(ARM_DEPS) cannot be had here; make arm will say so and be skipped."
	@rm -f $(READY)  # so that the next target builds the kernels, if they could not be built before

# The cells of `make matrix` took hours and are made anew where they are out of date, so `clean` leaves them.
clean: ## remove what was made, but for .venv and the finished cells of make matrix
	if test -d build; then find build -mindepth 1 -maxdepth 1 -not -name matrix.jsonl -exec rm -rf {} +; fi
	rm -rf dist demo .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove those too
	rm -rf $(VENV) build

# Python 3.10 is what some boards have; the pinned set needs 3.11, so there pip chooses for itself.
$(READY): pyproject.toml constraints.txt $(shell find kernels/native -type f) | $(PY)
	@if $(PY) -c 'import sys; sys.exit(sys.version_info >= (3, 11))'; then \
	  echo "Python 3.10: constraints.txt is for 3.11 and later, so pip chooses the versions. The tested set is 3.11's."; \
	  $(PY) -m pip install --disable-pip-version-check -e '.[dev]'; \
	else \
	  echo "Installing into $(VENV). The first time takes some minutes and about 8 GB."; \
	  $(PY) -m pip install --disable-pip-version-check -e '.[dev]' -c constraints.txt; \
	fi
	@touch $@

$(PY):
	@if test -z "$(PYTHON)"; then \
	  echo "edgevit needs Python 3.10 or later with its venv module; 3.11 is the one that is tested. None was found." >&2; \
	  echo "On Debian: apt-get install python3.11-venv. Elsewhere name one: make PYTHON=/path/to/python3 test" >&2; \
	  exit 1; \
	fi
	"$(PYTHON)" -m venv $(VENV)
