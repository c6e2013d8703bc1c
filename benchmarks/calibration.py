"""Count every statistical promise under its null and write the report that the documentation shows.

python benchmarks/calibration.py
"""

import json
import os
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "explanation" / "calibration.md"
HEAD = """# Calibration report

Every statistical promise of mlopskit, simulated under its null and counted. `python benchmarks/calibration.py` writes
this page from the figures that `tests/test_calibration*.py` count; the tests run with all others.

The relation is part of the claim: a rate or a mean stands beside the bound it may not pass, a gap beside the band
it stays in. A test fails when a rate exceeds the binomial quantile that a correct procedure exceeds with probability
1e-6, when a gambler who bets that a mean is too large turns 1 into 1,000,000, or when a gap leaves the
Dvoretzky-Kiefer-Wolfowitz band at 1e-6. A measured rate may therefore lie above its bound by the noise of its runs.

"""


def measure() -> list[dict[str, object]]:
    """Run the calibration tests and return what they counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured.json"
        tests = sorted(str(p) for p in (ROOT / "tests").glob("test_calibration*.py"))
        environment = os.environ | {"MLOPSKIT_MEASURED": str(path)}
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-n0", *tests], cwd=ROOT, env=environment, check=True)
        figures: list[dict[str, object]] = json.loads(path.read_text())
    return figures


def table(figures: list[dict[str, object]]) -> str:
    """Return one table for each claim: null, measured, bound, runs."""
    text = []
    for claim, group in groupby(sorted(figures, key=lambda f: str(f["claim"])), key=lambda f: f["claim"]):
        rows = [f"| {f['null']} | {f['measured']:.4g} | {f['bound']:.4g} | {f['runs']:,} |" for f in group]
        text.append("\n".join([f"**{claim}**\n", "| null | measured | bound | runs |", "|---|---|---|---|", *rows]))
    return "\n\n".join(text) + "\n"


if __name__ == "__main__":
    REPORT.write_text(HEAD + table(measure()))
