"""Files that earlier releases wrote are read, and go on as they would have; what is newer or foreign is refused."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import mlopskit as mk
from mlopskit import formats
from mlopskit.errors import FormatError

from keepsakes import DATA, KINDS, answers, made, read, read_bytes, visits

pytestmark = pytest.mark.filterwarnings("ignore::mlopskit.errors.MlopskitWarning")
PROTOCOLS = [DATA / f"protocol-{n}" for n in range(1, formats.PROTOCOL + 1)]


def same(got: object, kept: object) -> bool:
    """Whether two plain values are the same, numbers to rounding."""
    if isinstance(kept, list) and isinstance(got, (list, tuple)):
        return len(got) == len(kept) and all(map(same, got, kept))
    if isinstance(kept, float):
        return bool(np.isclose(float(got), kept, rtol=1e-6, atol=1e-9))  # type: ignore[arg-type]
    return got == kept


@pytest.mark.parametrize("folder", PROTOCOLS, ids=lambda folder: folder.name)
class TestKept:
    def test_objects_go_on_where_they_stood(self, folder: Path) -> None:
        """Every kind of object is read from its text; what it says next is what its own release said."""
        expected = json.loads((folder / "answers.json").read_text())
        found = answers(read(folder))
        assert found.keys() == expected.keys()
        for name, kept in expected.items():
            assert same(found[name], kept), name

    def test_binary_forms_hold_the_same(self, folder: Path) -> None:
        """What is read from the binary form is written as the text is."""
        texts = read(folder)
        for name, value in read_bytes(folder).items():
            assert value.to_json() == texts[name].to_json()

    def test_a_registry_is_read_and_written_to(self, folder: Path, tmp_path: Path) -> None:
        """History, aliases, files and predictions are there, every byte is verified, and the next version is 4."""
        registry = mk.ModelRegistry(shutil.copytree(folder / "registry", tmp_path / "registry"))
        assert registry.verify(deep=True).passed
        assert [v.metrics["auc"] for v in registry.versions("late")][:2] == [0.5, 0.6]
        assert registry.get("late@champion").number == 2
        assert registry.get("late@champion@2026-01-06").number == 1
        assert registry.file("late:1", "notes.txt") == b"kept beside the model"
        assert registry.load("late@champion").predict(visits(5)[["wait"]]).version == "late:2"
        assert [event.kind for event in registry.history("late").events][:1] == ["registered"]
        example = visits(5)[["wait"]].head()
        assert registry.register("late", registry.load("late:1").model, example=example).number == 4


def test_this_release_writes_what_is_kept() -> None:
    """The kept files of this protocol hold the fields that are written today: a new field asks for new files."""
    today, folder = made(), PROTOCOLS[-1]
    for name in KINDS:
        assert fields(json.loads(today[name].to_json())) == fields(json.loads((folder / f"{name}.json").read_text()))


def fields(document: object) -> object:
    """Return the names of all fields in a document, without their values."""
    if isinstance(document, dict) and document.get("type") not in ("array", "dict"):
        return {key: fields(value) if isinstance(value, dict) else None for key, value in document.items()}
    return None


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        ({"protocol": formats.PROTOCOL + 1}, "newer than this release reads"),
        ({"type": "NoSuchThing"}, "unknown type 'NoSuchThing'"),
        ({"type": "Profile"}, "cannot rebuild a 'Profile'"),
        ({"no_such_field": 1}, "cannot rebuild a 'Binning'"),
        ({"protocol": None}, "no protocol number"),
    ],
)
def test_what_is_newer_or_foreign_is_refused(edit: dict[str, object], match: str) -> None:
    """A newer protocol, an unknown tag, another type, a field nobody knows, no number: each is an error in words."""
    document = copy.deepcopy(json.loads((PROTOCOLS[-1] / "binning.json").read_text())) | edit
    with pytest.raises(FormatError, match=match):
        mk.Binning.from_json(json.dumps(document))
