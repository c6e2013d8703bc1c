"""Lineage: what `capture` sees, that it is the same for the same training, and that it is never fatal."""

from __future__ import annotations

import datetime as dt
import functools
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis.strategies import SearchStrategy
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mlopskit import formats, frames
from mlopskit import lineage as module
from mlopskit.errors import DataError
from mlopskit.lineage import Lineage, capture


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
    done = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git("init", "--quiet")
    (tmp_path / "code.py").write_text("x = 1\n")
    git("add", "code.py")
    git("commit", "--quiet", "--message", "First")
    return tmp_path


class TestCode:
    def test_notes_the_commit(self, repository: Path) -> None:
        """The commit is that of the working directory's repository, from its subdirectories too."""
        (repository / "deep").mkdir()
        os.chdir(repository / "deep")
        lineage = capture()
        assert lineage.commit == git("rev-parse", "HEAD")
        assert lineage.dirty is False

    def test_dirty_means_that_tracked_files_differ(self, repository: Path) -> None:
        """A changed tracked file is dirty, staged or not; a new file (a result, a registry) is not."""
        (repository / "result.csv").write_text("1\n")
        assert capture().dirty is False
        (repository / "code.py").write_text("x = 2\n")
        assert capture().dirty is True
        git("add", "code.py")
        assert capture().dirty is True
        git("commit", "--quiet", "--message", "Second")
        assert capture().dirty is False

    def test_no_repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Outside a repository there is no commit; in one without commits neither."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert (capture().commit, capture().dirty) == (None, None)
        assert capture().no_commit == "no git repository, or one without a commit"
        git("init", "--quiet")
        assert (capture().commit, capture().dirty) == (None, None)

    def test_no_git(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without git on the path the code is unknown, and nothing fails."""
        monkeypatch.setenv("PATH", str(repository))
        assert (capture().commit, capture().dirty) == (None, None)
        assert capture().no_commit == "git is not installed"

    def test_a_git_that_hangs(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A git that does not answer is given up after the time limit."""
        slow = repository / "bin" / "git"
        slow.parent.mkdir()
        slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", str(slow.parent))
        monkeypatch.setattr(module, "_GIT_SECONDS", 0.2)
        start = time.monotonic()
        lineage = capture()
        assert time.monotonic() - start < 60
        assert (lineage.commit, lineage.no_commit) == (None, "git took longer than 0.2 s")

    def test_a_diff_that_fails(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When only the differences are unknown, the commit is noted, dirty and diff are None."""
        monkeypatch.setattr(module, "_DIFF", ("diff-index", "--no-such-option"))
        lineage = capture()
        assert (lineage.commit, lineage.dirty, lineage.diff) == (git("rev-parse", "HEAD"), None, None)

    def test_equal_changes_have_equal_digests(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Text and bytes, staged or not, seen from any folder; another change has another digest, none has none."""
        assert capture().diff is None
        (repository / "code.py").write_text("x = 2\n")
        (repository / "blob.bin").write_bytes(bytes(range(256)))
        git("add", "blob.bin")
        one = capture().diff
        git("add", "--all")
        (repository / "deep").mkdir()
        monkeypatch.chdir(repository / "deep")
        assert capture().diff == one
        (repository / "blob.bin").write_bytes(bytes(range(255, -1, -1)))
        assert capture().diff not in (None, one)
        git("reset", "--quiet", "--hard")
        assert capture().diff is None

    def test_nobody_s_configuration_changes_the_digest(self, repository: Path) -> None:
        """Colours, prefixes, other algorithms, external tools and text conversions of the user's are not asked."""
        (repository / "code.py").write_text("x = 2\ny = 3\n")
        plain = capture().diff
        for key, value in {
            "color.ui": "always",
            "diff.noprefix": "true",
            "diff.mnemonicPrefix": "true",
            "diff.external": "false",
            "diff.algorithm": "patience",
            "diff.context": "0",
            "diff.renames": "copies",
            "core.quotePath": "false",
        }.items():
            git("config", key, value)
        assert capture().diff == plain


class TestData:
    FRAME = pd.DataFrame({"day": pd.to_datetime(["2013-02-01", "2013-01-01", None]), "x": [1.0, 2.0, 3.0]})

    def test_notes_the_data(self) -> None:
        """Fingerprint, rows, columns, and the first and last time stamp in UTC, missing ones left out."""
        lineage = capture(self.FRAME, time="day", seed=3)
        assert lineage.data_fingerprint == frames.fingerprint(self.FRAME)
        assert (lineage.n_rows, lineage.columns, lineage.seed) == (3, ("day", "x"), 3)
        assert lineage.data_start == dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
        assert lineage.data_end == dt.datetime(2013, 2, 1, tzinfo=dt.UTC)

    def test_zones_are_converted(self) -> None:
        """A time with a zone is noted in UTC, to the microsecond."""
        stamps = pd.to_datetime(["2013-07-01 00:00:00.000001"]).tz_localize("America/New_York")
        start = capture(pd.DataFrame({"t": stamps}), time="t").data_start
        assert start == dt.datetime(2013, 7, 1, 4, 0, 0, 1, tzinfo=dt.UTC)

    @pytest.mark.parametrize("times", [[2012, 2013], ["2013-01-01", "2013-01-02"], pd.to_datetime([None, None]), []])
    def test_a_column_without_time_stamps(self, times: object) -> None:
        """Numbers, text, only missing or no stamps at all have no start and end: never a guess."""
        lineage = capture(pd.DataFrame({"t": times}), time="t")
        assert (lineage.data_start, lineage.data_end) == (None, None)

    def test_a_missing_time_column(self) -> None:
        """A time column that is not there is an error that names it."""
        with pytest.raises(DataError, match="nope"):
            capture(self.FRAME, time="nope")

    def test_no_data(self) -> None:
        """Without data nothing is said about them."""
        lineage = capture()
        assert (lineage.data_fingerprint, lineage.n_rows, lineage.columns, lineage.params) == (None, None, (), {})


class Tuned(BaseEstimator):
    def __init__(self, value: object = None) -> None:
        self.value = value


class TestModel:
    def test_notes_packages(self) -> None:
        """The packages everything stands on, with the versions installed here, and the interpreter's."""
        lineage = capture(model=LogisticRegression())
        assert lineage.packages["numpy"] == np.__version__
        assert {"mlopskit", "numpy", "pandas", "scikit-learn", "scipy"} <= lineage.packages.keys()
        assert lineage.python == ".".join(map(str, sys.version_info[:3]))

    def test_notes_what_the_packages_stand_on(self) -> None:
        """What they require, and so on: scikit-learn brings joblib, pandas dateutil, and that six; not extras."""
        packages = capture(model=LogisticRegression()).packages
        assert {"joblib", "threadpoolctl", "python-dateutil", "six"} <= packages.keys()
        assert not {"pytest", "matplotlib", "skops", "prettytable"} & packages.keys()
        assert packages["joblib"] == importlib.metadata.version("joblib")

    def test_metadata_that_cannot_be_read_is_not_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A requirement that no rule allows is left out, a package that is not there has none."""
        monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["???", "six>=1; python_version<'2'", "numpy"])
        module._requirements.cache_clear()
        assert module.closure(["pandas"]) == {"pandas", "numpy"}
        monkeypatch.undo()
        module._requirements.cache_clear()
        assert module.closure(["no-such-distribution"]) == {"no-such-distribution"}

    def test_notes_the_packages_of_the_model_s_parts(self) -> None:
        """A part from another package brings that package's version; this file's own module brings none."""
        lineage = capture(model=make_pipeline(StandardScaler(), Tuned(SearchStrategy())))
        assert "hypothesis" in lineage.packages
        assert "hypothesis" not in capture(model=Tuned()).packages

    def test_parameters_are_plain_and_stable(self) -> None:
        """Functions, classes, arrays, estimators and objects become text without memory addresses."""

        class Thing:
            pass

        values = [
            np.float32(0.5), np.nan, None, True, "text", (1, [2]), {2: "b", 1: "a"}, {"b", "a"},
            np.arange(3), np.log1p, np.mean, LogisticRegression, LogisticRegression(), Thing(),
            functools.partial(np.clip, a_min=0), lambda: 0,
        ]  # fmt: skip
        params = capture(model=Tuned(values)).params["value"]
        assert params[:8:2] == [0.5, None, "text", {"1": "a", "2": "b"}]
        assert params[7] == ["a", "b"]
        assert params[8].startswith("array of int64 (3,): ")
        assert params[9:13] == [
            "<ufunc 'log1p'>",
            "numpy.mean",
            "sklearn.linear_model._logistic.LogisticRegression",
            "LogisticRegression",
        ]
        assert " at 0x" not in str(params)
        json.loads(formats.canonical(formats.encode(capture(model=Tuned(values)))))

    def test_given_parameters_replace_the_model_s(self) -> None:
        """`params` are noted as given, sorted by name."""
        lineage = capture(model=LogisticRegression(), params={"b": 1, "a": 2})
        assert list(lineage.params.items()) == [("a", 2), ("b", 1)]

    def test_nested_parameters_have_their_path(self) -> None:
        """A pipeline's parameters are those of its steps, by scikit-learn's names."""
        model = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(C=3.0))
        params = capture(model=model).params
        assert params["logisticregression__C"] == 3.0
        assert params["steps"] == [
            ["functiontransformer", "FunctionTransformer"],
            ["logisticregression", "LogisticRegression"],
        ]

    def test_a_class_has_no_parameters(self) -> None:
        """A class given for a model is not asked for parameters."""
        assert capture(model=LogisticRegression).params == {}


def test_the_same_training_has_the_same_lineage() -> None:
    """Captured twice, equal; and equal again after JSON."""
    model = make_pipeline(FunctionTransformer(functools.partial(np.clip, a_min=0)), LogisticRegression())
    first, second = (capture(TestData.FRAME, model=model, time="day", seed=1) for _ in range(2))
    assert first == second
    back = formats.from_json(formats.to_json(first), Lineage)
    assert formats.to_json(back) == formats.to_json(first)
