"""What every test file shares: the measured figures are written where MLOPSKIT_MEASURED says, no test is timed."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _write_measured():
    yield
    if "MLOPSKIT_MEASURED" in os.environ:
        from counting import MEASURED

        Path(os.environ["MLOPSKIT_MEASURED"]).write_text(json.dumps(MEASURED, indent=1))
