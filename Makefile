# Works on a fresh machine with Python 3.11 or newer and make. Everything is installed into .venv; a stamp inside it
# remembers what, so that only a change of pyproject.toml installs again.

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517
# What benchmarks compare with has pins of its own, which the tools and tests shall not feel.
BENCH := $(VENV)/bench
BENCH_INSTALL := $(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517

.PHONY: run test check soak bench

run: $(VENV)/installed-run
	$(BIN)/refold run examples/flights flights
	@echo
	@echo "The results are in examples/flights/results: days, months, airlines_on_bad_days and storms, as .csv and .parquet."

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not soak"

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m soak

bench: $(BENCH)/installed
	$(BENCH)/bin/python -m benchmarks

$(VENV)/installed-run: pyproject.toml
	@$(find-python)
	@echo "Installing Refold and the example's data into $(VENV); once, about a minute ..."
	@$(INSTALL) --editable '.[flights]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml
	@$(find-python)
	@echo "Installing Refold and its tools into $(VENV); once, about two minutes ..."
	@$(INSTALL) --editable '.[dev,flights]'
	@touch $@ $(VENV)/installed-run

# What of the extra cannot be installed is told; the benchmarks then list it as absent.
$(BENCH)/installed: pyproject.toml
	@$(find-python)
	@echo "Installing Refold and what it is compared with into $(BENCH); once, about two minutes, 1.5 GB ..."
	@$(BIN)/python -m venv $(BENCH)
	@$(BENCH_INSTALL) --editable '.[bench]' || { \
		$(BENCH_INSTALL) --editable . && \
		$(BENCH)/bin/python -m benchmarks.peers.wanted | while read -r package; do \
			$(BENCH_INSTALL) "$$package" || echo "Not installed: $$package" >&2; \
		done; }
	@touch $@

# The first Python that is new enough and can make environments; PYTHON=... chooses another. Asking the interpreter
# itself, since a name on the PATH may be a shim without a Python behind it. An environment whose installation was cut
# short has no pip, and is completed.
define find-python
if $(BIN)/python -m pip --version >/dev/null 2>&1; then exit 0; fi; \
for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		exec $$python -m venv $(VENV); \
	fi; \
done; \
echo "Refold needs Python 3.11 or newer with the module venv, and none was found on the PATH." >&2; \
echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
exit 1
endef
