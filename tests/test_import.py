"""`import mlopskit` is nearly free, and every public name is there."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

import mlopskit

HEAVY = {
    "attr",
    "attrs",
    "joblib",
    "matplotlib",
    "narwhals",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "sklearn",
    "skops",
}


def fresh(code):
    """Run code in a new interpreter and return what it prints, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_brings_no_other_package():
    """In a fresh interpreter, importing mlopskit adds one module of its own and the standard library, nothing else."""
    code = (
        "import sys, json; before = set(sys.modules); import mlopskit; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    added = fresh(code)
    assert [name for name in added if name.partition(".")[0] not in sys.stdlib_module_names] == ["mlopskit"]


def test_a_name_brings_its_module_and_what_that_needs_alone():
    """An error class is found without numpy; a decision rule brings no estimator library."""
    code = (
        "import sys, json, mlopskit; mlopskit.{}; print(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"
    )
    assert not set(fresh(code.format("MlopskitError"))) & HEAVY
    assert not set(fresh(code.format("DriftDetector"))) & {"sklearn", "skops", "matplotlib"}


@pytest.mark.parametrize("name", mlopskit.__all__)
def test_every_public_name_resolves(name):
    """Each name of `__all__` is an attribute, and a class knows the name under which it is found."""
    value = getattr(mlopskit, name)
    if isinstance(value, type):
        assert value.__name__ == name
        assert value.__doc__


def test_a_name_is_resolved_once():
    """After its first use a name is an ordinary attribute of the package."""
    assert mlopskit.Schema is vars(mlopskit)["Schema"]


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt name raises AttributeError that repeats it, so that hasattr and `from` imports work as usual."""
    with pytest.raises(AttributeError, match="'Drift'"):
        mlopskit.Drift  # noqa: B018
    assert not hasattr(mlopskit, "Drift")


def test_dir_lists_the_public_names():
    """Completion in a notebook shows every public name before any is used."""
    assert set(mlopskit.__all__) <= set(dir(mlopskit))
    assert len(set(mlopskit.__all__)) == len(mlopskit.__all__)


def test_the_version_is_that_of_the_distribution():
    """`__version__` and the installed metadata agree."""
    assert mlopskit.__version__ == version("mlopskit")
