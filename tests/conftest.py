"""What every test file shares: real engines, and the measured figures, written where MLOPSKIT_MEASURED says.

No test is timed.
"""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # two processes on two cores: threads of each would wait for one another
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
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


@pytest.fixture(scope="session")
def _spark_builder():
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]")
    options = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.log.level": "ERROR",
    }
    for name, value in options.items():
        builder = builder.config(name, value)
    yield builder
    builder.getOrCreate().stop()


@pytest.fixture
def spark(_spark_builder):
    """A real Spark session of two cores, whose workers are this Python; a stopped one is renewed."""
    return _spark_builder.getOrCreate()


@pytest.fixture(scope="session")
def dask():
    """Dask on two other processes."""
    import dask
    import dask.dataframe

    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(2, mp_context=context) as pool,
        dask.config.set({"scheduler": "processes", "pool": pool, "dataframe.convert-string": False}),
    ):
        yield dask
