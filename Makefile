# Everything runs in .venv, which is made when it is missing or when pyproject.toml or setup.py has changed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: search test lint format types docs clean

search: $(READY)
	$(BIN)/python examples/panoptic_search.py

# Files stay whole, in the order of the suite; tests/side_by_side.py says which of them stay together.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Type checkers do not follow the import hooks of an editable install, so they read an installed copy.
types: $(READY)
	rm -rf build/types
	$(BIN)/python -m pip install --quiet --no-deps --target build/types .
	MYPYPATH=build/types $(BIN)/mypy -p autopanoptic -p examples -p benchmarks

docs: $(READY)
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	$(BIN)/mkdocs build --strict

$(READY): pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps "panopticapi-lite>=0.2"  # the reference to compare PQ with
	touch $(READY)

clean:
	rm -rf .venv build site
