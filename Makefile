# Works on a fresh machine with Python 3.11 or newer and make. Everything is installed into .venv; a stamp inside it
# remembers what, so that only a change of pyproject.toml installs again.

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517

.PHONY: run test check soak bench

run: $(VENV)/installed-run
	$(BIN)/refold run examples/flights flights
	@echo
	@echo "The results are in examples/flights/results: days, months, airlines_on_bad_days and storms, as .csv and .parquet."

test: check
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not soak"

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m soak

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks

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
