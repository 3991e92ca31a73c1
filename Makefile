# Two commands do all the set-up on a machine with Python 3.11 or 3.12, git and make:
#
#     make demo                  reconstructs the clip that comes with the package
#     make demo VIDEO=my.mp4     reconstructs one of your own
#     make test                  checks style, types, layers and behaviour
#     make test-browser          looks at the viewer with Chromium
#
# Everything is installed into .venv; `make distclean` removes it.

TORCH ?= torch==2.13.0
CPU_WHEELS ?= https://download.pytorch.org/whl/cpu
VENV ?= .venv
OUT ?= out/demo
VIDEO ?=

# the first Python of a version that fits and that can make environments
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	2>/dev/null && echo $$python && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH_THERE := $(VENV)/.$(subst ==,-,$(TORCH))

.PHONY: help demo test chromium test-browser test-slow check clean distclean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -8

demo: $(VENV)/.installed
	$(BIN)/worldline demo --out '$(OUT)' $(if $(VIDEO),--video '$(VIDEO)')

test: check
	$(BIN)/python -m pytest -m 'not slow and not browser'

test-browser: chromium $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m browser

chromium:
	@command -v chromium >/dev/null || { echo 'installing Chromium'; \
		{ apt-get update && apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1; } \
		|| { echo 'Chromium is needed, and cannot be installed here (Debian: apt install chromium).'; exit 1; }

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf '$(VENV)'

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo 'Python 3.11 or 3.12 with venv is needed (Debian, Ubuntu: apt install python3.11-venv).'; \
		echo 'If you have one, name it: make demo PYTHON=/path/to/python3.11'; exit 1; fi
	$(PYTHON) -m venv '$(VENV)'
	@touch $@

# On Linux without an NVIDIA GPU the CPU build, so that no CUDA is downloaded: from where pip looks
# anyway, else from PyTorch's own index.
$(TORCH_THERE): $(VENV)/.made
	@if [ "$$(uname -s)" = Linux ] && ! nvidia-smi -L >/dev/null 2>&1; then \
		echo 'installing $(TORCH), CPU build'; \
		$(PIP) install --quiet '$(TORCH)+cpu' 2>/dev/null \
		|| $(PIP) install '$(TORCH)+cpu' --extra-index-url $(CPU_WHEELS); \
	else \
		$(PIP) install '$(TORCH)'; \
	fi
	@touch $@

$(VENV)/.installed: $(TORCH_THERE) pyproject.toml
	$(PIP) install --quiet -e .
	@touch $@

$(VENV)/.installed-dev: $(TORCH_THERE) pyproject.toml
	$(PIP) install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.installed
