# Everything here makes its own environment first; PYTHON chooses the interpreter it is made with.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READERS ?= .venv-readers
# Each takes up to 2.6 GB.
WORKERS ?= 2

.PHONY: help demo docs linkcheck pipeline test test-slow test-long test-all coverage lint bench bench-peers check-readers clean

help:
	@echo "make demo       fit the bundled simulated mission (figures in runs/demo, which is replaced as a whole)"
	@echo "make pipeline   the seven steps on that fit: tables, maps, spectra and figures in runs/demo/products"
	@echo "make check-readers  exports that fit and reads it with Gammapy, Sherpa, 3ML, healpy, fitsverify ..."
	@echo "make test       the quick tests, five minutes on two cores"
	@echo "make test-slow  those of more than some three seconds each: half an hour to an hour on two cores"
	@echo "make test-long  those of more than some twenty seconds each, such as fits that are stopped and resumed"
	@echo "make test-all   all of them in one run, more than an hour"
	@echo "make coverage   the quick tests, and which lines they did not run"
	@echo "make lint       ruff, mypy, and which package may import which"
	@echo "make docs       the site, with its tutorials run: site/html/index.html"
	@echo "make linkcheck  whether the links of the site to other sites work; needs the internet"
	@echo "make bench      what a fit costs on this machine: table and figure in runs/bench"
	@echo "make bench-peers  other samplers on the same model; they get an environment of their own"

$(BIN)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("ridgebayes needs Python 3.11 or later; this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(BIN)/.installed
	$(BIN)/ridgebayes demo --overwrite

runs/demo/run.toml: | $(BIN)/.installed
	$(BIN)/ridgebayes demo --overwrite

pipeline: $(BIN)/.installed runs/demo/run.toml
	set -e; for step in scripts/0*.py; do echo "== $$step"; $(BIN)/python $$step runs/demo --overwrite; done

# Readers are heavy, and some are built from source (Sherpa: compilers, bison, flex, FFTW): each may be missing.
$(READERS)/.installed: benchmarks/readers.txt
	$(PYTHON) -m venv $(READERS)
	@set -e; while read -r reader; do case "$$reader" in ""|"#"*) continue;; esac; \
	  echo "installing $$reader"; $(READERS)/bin/python -m pip install --quiet --disable-pip-version-check $$reader </dev/null \
	    || echo "$$reader: cannot be installed here, its check will be skipped"; done < $<
	@touch $@

check-readers: $(BIN)/.installed runs/demo/run.toml $(READERS)/.installed
	$(BIN)/ridgebayes export runs/demo --out runs/demo-export --overwrite --draws-as nc --draws-as fits --draws-as csv
	$(READERS)/bin/python benchmarks/check_readers.py runs/demo-export

# A file's tests go to one worker, so that what they share is made once; in the order of folders, as the longest
# files are in the first.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(BIN)/.installed
	$(PYTEST) -m "not slow and not long"

# MINUTES=35 starts no test after so many.
test-slow: $(BIN)/.installed
	$(PYTEST) -m "slow and not long" $(if $(MINUTES),--minutes $(MINUTES))

test-long: $(BIN)/.installed
	$(PYTEST) -m long

# In one run, so that what tests of a file share is made once.
test-all: $(BIN)/.installed
	$(PYTEST)

coverage: $(BIN)/.installed
	$(PYTEST) -m "not slow and not long" --cov=ridgebayes --cov=models --cov-report=term-missing:skip-covered

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

$(BIN)/.installed-docs: pyproject.toml $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

# -W: every warning is an error; --keep-going shows all of them.
docs: $(BIN)/.installed-docs
	$(BIN)/python -m sphinx -b html -W --keep-going -d site/.doctrees docs site/html

linkcheck: $(BIN)/.installed-docs
	RIDGEBAYES_DOCS_EXECUTE=off $(BIN)/python -m sphinx -b linkcheck -d site/.doctrees-links docs site/linkcheck

bench: $(BIN)/.installed
	$(BIN)/ridgebayes bench

.venv-peers/.installed: pyproject.toml benchmarks/peers-requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -e . -r benchmarks/peers-requirements.txt
	@touch $@

bench-peers: .venv-peers/.installed
	.venv-peers/bin/python benchmarks/peers.py $(PEERS)

clean:
	rm -rf $(VENV) $(READERS) .venv-peers site .pytest_cache .mypy_cache .ruff_cache build *.egg-info
