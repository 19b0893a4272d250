# Everything below runs from a fresh checkout with Python 3.11+ and make alone.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO_SERVE ?= 1
# Where the environment forbids Python to keep what it compiled, hundreds of processes would compile it anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-slow test-postgres test-spark check lint bench lock clean

# pip would compile on one processor, and what is never loaded too. Ours are compiled with them: where Python may keep
# nothing, each command would do it again. What does not compile is no program of this Python's.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/(tests?|geodata)/' $(VENV)/lib identity consent api || true

# One stamp per lock file: the environment is rebuilt when, and only when, a lock file changes.
$(VENV)/.run: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@$(COMPILE)
	touch $@

$(VENV)/.test: requirements-test.lock $(VENV)/.run
	$(PIP) --require-hashes -r requirements-test.lock
	@$(COMPILE)
	touch $@

$(VENV)/.spark: requirements-spark.lock $(VENV)/.test
	$(PIP) --require-hashes -r requirements-spark.lock
	touch $@

demo: $(VENV)/.run
	$(BIN)/aurea demo $(if $(filter 0,$(DEMO_SERVE)),--no-serve,)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

check: lint
	$(BIN)/mypy

# Types are checked meanwhile, by what the tests leave of the processors; what was found is printed after them.
test: lint
	@nice -n 10 $(BIN)/mypy > $(VENV)/types.txt 2>&1 & checker=$$!; tests=0; types=0; \
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow" || tests=$$?; \
	wait $$checker || types=$$?; \
	echo "mypy:"; cat $(VENV)/types.txt; \
	[ $$tests -eq 0 ] && [ $$types -eq 0 ]

# Everything, and properties with all their examples (tests/examples.py).
test-slow: check
	AUREA_TEST_EXAMPLES=all $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# The suites of stores, ledger, requests and API on a PostgreSQL server that the tests begin.
test-postgres: check
	AUREA_TEST_STORE=postgresql $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" \
	  tests/identity tests/consent tests/api

# needs Java 17 or newer; pyspark is 450 MB, so nothing else installs it
test-spark: $(VENV)/.spark
	$(BIN)/python -m pytest -n0 tests/spark

bench: $(VENV)/.test
	$(BIN)/python benchmarks/all.py

lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock --extra build
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header -o requirements-test.lock --extra test --extra vault --extra otel --extra postgres \
	  --extra build
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header -o requirements-image.lock \
	  --extra vault --extra otel --extra postgres --extra build
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header -o requirements-spark.lock \
	  --extra spark --extra test --extra vault --extra otel --extra postgres --extra build

clean:
	rm -rf $(VENV) build dist *.egg-info
