# Shortcuts for the lines of README.md and CONTRIBUTING.md.
.PHONY: example test quick lint types layers

example:
	python3 -m venv .venv && .venv/bin/pip install -q '.[examples]' && .venv/bin/python examples/keep_a_model_right.py

test:
	python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest

quick:
	.venv/bin/python -m pytest -m "not slow"

lint:
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

types:
	.venv/bin/mypy

layers:
	.venv/bin/lint-imports
