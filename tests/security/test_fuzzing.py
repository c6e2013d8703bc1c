"""A bounded fuzzer in a process of its own: no crash, no hang, nothing executed, nothing but our own errors."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECONDS = 10
ENGINES = ["random", "coverage"]


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_breaks_the_reader(engine: str) -> None:
    """Model files, and our own values as bytes and as text; what is loaded has to predict or raise."""
    if engine == "coverage" and importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris has no wheel for this Python")
    path = os.pathsep.join([str(HERE.parent), *sys.path])
    found = subprocess.run(
        [sys.executable, str(HERE / "fuzzing.py"), str(SECONDS), "1", engine],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS + 110,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    counts = json.loads(found.stdout.splitlines()[-1])
    assert min(counts[part] for part in ("model_edits", "model_bytes", "profile_edits", "text_edits", "refused")) > 0
    assert counts["loaded"] > 0
