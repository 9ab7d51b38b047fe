# Two commands do everything on a fresh machine: `make release` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# Public data: from a shared folder where there is one, else downloaded once into a cache folder.
ifeq ($(origin ASIDCAT_DATA),undefined)
ifneq ($(wildcard ../shared/data/MANIFEST.tsv),)
export ASIDCAT_DATA := $(CURDIR)/../shared/data
endif
endif
# This checkout keeps its own database and counts cubes, unless told otherwise.
ASIDCAT_HOME ?= $(CURDIR)/var
export ASIDCAT_HOME

VERSION     ?= lat-8yr-10gev-1
RELEASE_DIR ?= releases/$(VERSION)

.PHONY: help install install-test release test test-clients lint bench clean
help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -m venv "$(VENV)"

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	"$(BIN)/python" -m pip install --quiet -c constraints.txt -e .
	@touch "$@"

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	"$(BIN)/python" -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch "$@" "$(VENV)/.installed"

install: $(VENV)/.installed            ## the program into its own environment
install-test: $(VENV)/.installed-test  ## the same with what the tests need

release: install ## a catalogue release of the real LAT sky above 10 GeV
	"$(BIN)/python" -m scripts.release_lat_10gev --version "$(VERSION)" --output "$(RELEASE_DIR)"

test: install-test ## the tests, in random order, on two processes; TESTS='tests/sky' for a part
	"$(BIN)/python" -m pytest -n 2 --dist worksteal $(TESTS)

$(VENV)-clients/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv "$(VENV)-clients"
	"$(VENV)-clients/bin/python" -m pip install --quiet -c constraints.txt -e '.[test,clients]'
	@touch "$@"

# Where it cannot be compiled, its tests are skipped and say so.
$(VENV)-clients/bin/fitsverify: $(VENV)-clients/.installed
	-"$(VENV)-clients/bin/python" -m scripts.fitsverify "$(VENV)-clients/bin"

test-clients: $(VENV)-clients/bin/fitsverify ## gammapy, fermipy and others read the catalogue
	PATH="$(abspath $(VENV)-clients/bin):$$PATH" "$(VENV)-clients/bin/python" -m pytest tests/clients

lint: install-test ## style and types
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"

clean: ## the environment, the local database and the releases made here
	rm -rf "$(VENV)" "$(VENV)-clients" var releases build *.egg-info
