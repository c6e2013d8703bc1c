"""Feeds what an attacker could write to everything that reads bytes; run in a process of its own.

Usage: python fuzzing.py SECONDS SEED ENGINE, where ENGINE is `coverage` (guided by atheris) or `random`. Inputs are
bytes as they come, and, because checksums would stop nearly all of those at the door, edits of good files that are put
together again: members cut or exchanged, numbers inside arrays, values inside schemas. A model that is loaded has to
predict, or fail with an ordinary exception. Any other end of the process is a finding.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import random
import resource
import signal
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

SEED_MODELS = (
    "count words",
    "decision tree",
    "gradient boosting of two",
    "hist categorical",
    "isolation forest",
    "k means",
    "neighbours by a kd tree",
    "neighbours by weights",
    "neighbours, sparse",
    "one class",
    "poisson",
    "splines",
    "svc",
    "svc, sparse",
)
NUMBERS = (0, 1, -1, 2, 3, 7, 255, 256, 2**31 - 1, -(2**31), 2**32, 2**62, -(2**62), 10**6)
HANG = 10
"""Seconds after which one input counts as a hang."""


class Source:
    """Draws choices from bytes; from an end of bytes it draws zeros."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, n: int) -> int:
        """Return a number from 0 to n - 1."""
        piece = self._data[self._at : self._at + 4]
        self._at += 4
        return int.from_bytes(piece, "little") % n if n else 0

    def choose(self, options: Any) -> Any:
        """Return one of the options."""
        return options[self.below(len(options))]

    def rest(self) -> bytes:
        """Return the bytes that nobody drew yet."""
        return self._data[self._at :]

    def left(self) -> bool:
        """Whether there are any."""
        return self._at < len(self._data)


def forbid() -> None:
    """End the process when anything is executed, written, unpickled or sent from here on."""
    banned = ("os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename", "os.system", "pickle.find_class")
    banned = (*banned, "ctypes.dlopen", "socket.", "subprocess.Popen", "shutil.", "code.__new__")

    def watch(event: str, args: Any) -> None:
        written = event == "open" and isinstance(args[1], str) and any(letter in args[1] for letter in "wax+")
        if written or event.startswith(banned):
            os.write(2, f"EXECUTED {event} {args!r:.200}\n".encode())
            os._exit(66)

    sys.addaudithook(watch)


class Target:
    """What is fed: one call for each input."""

    def __init__(self) -> None:
        import pandas as pd

        import mlopskit as mk
        from estimators import MODELS, fit, outputs
        from mlopskit import errors, formats

        self.formats, self.errors, self.outputs = formats, errors, outputs
        self.models = []
        for name in SEED_MODELS:
            model, rows = fit(name)
            data = formats.dump_model(model)[1]
            few = rows[:5] if not isinstance(rows, pd.DataFrame) else rows.iloc[:5]
            list(outputs(formats.load_model("skops", data), few))  # imports what predicting needs
            self.models.append((data, few))
        assert set(SEED_MODELS) <= set(MODELS)
        frame = pd.DataFrame({"x": np.arange(50.0), "t": ["a", "b"] * 25})
        profile = mk.Binning.fit(frame).profile(frame)
        self.kind, self.profile, self.text = type(profile), profile.to_bytes(), profile.to_json()
        self.kind.from_bytes(self.profile)
        self.counts: dict[str, int] = {}

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def __call__(self, data: bytes) -> None:
        source = Source(data)
        ways: list[Callable[[Source], None]] = [self.model_edits] * 4
        ways += [self.model_bytes, self.profile_bytes, self.profile_edits, self.text_edits, self.raw_text]
        way = source.choose(ways)
        self.count(way.__name__)
        signal.alarm(HANG)
        try:
            way(source)
        except self.errors.MlopskitError:
            self.count("refused")
        finally:
            signal.alarm(0)

    def model_bytes(self, source: Source) -> None:
        """Bytes as they are, or a good file with some of them replaced."""
        data, rows = source.choose(self.models)
        self.use(splice(source, data), rows)

    def model_edits(self, source: Source) -> None:
        """A good file, taken apart, changed and put together."""
        from mlopskit.formats.archives import write_members

        data, rows = source.choose(self.models)
        members = members_of(data)
        for _ in range(1 + source.below(3)):
            edit_members(source, members)
        self.use(write_members(members), rows)

    def use(self, data: bytes, rows: Any) -> None:
        model = self.formats.load_model("skops", data)
        self.count("loaded")
        for method in ("predict", "predict_proba", "decision_function", "transform", "score_samples", "kneighbors"):
            try:
                getattr(model, method)(rows)
            except (AttributeError, *ORDINARY):
                continue
            self.count("predicted")

    def profile_bytes(self, source: Source) -> None:
        self.kind.from_bytes(splice(source, self.profile))

    def profile_edits(self, source: Source) -> None:
        members = members_of(self.profile)
        edit_members(source, members)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target:
            for name, data in members.items():
                target.writestr(name, data)
        self.kind.from_bytes(out.getvalue())

    def text_edits(self, source: Source) -> None:
        document = json.loads(self.text)
        edit_json(source, document, list(self.formats.TAGS))
        self.formats.from_json(json.dumps(document), self.kind)

    def raw_text(self, source: Source) -> None:
        self.formats.from_json(splice(source, self.text.encode()), self.kind)


ORDINARY = (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def splice(source: Source, data: bytes) -> bytes:
    """Return raw bytes, or `data` with a few of its bytes replaced."""
    if source.below(4) == 0:
        return source.rest()
    changed = bytearray(data)
    while source.left():
        at = source.below(len(changed))
        changed[at : at + 1 + source.below(4)] = source.below(2**16).to_bytes(2, "little")
    return bytes(changed)


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def edit_members(source: Source, members: dict[str, bytes]) -> None:
    """Change one member: its bytes, one number, its type, its shape, or what stands under its name."""
    name = source.choose(sorted(members))
    data = members[name]
    if name.endswith(".json"):
        schema = json.loads(data)
        edit_json(source, schema, [])
        members[name] = json.dumps(schema).encode()
        return
    if name.endswith(".npz"):
        from mlopskit.formats.archives import write_members

        inner = members_of(data)
        edit_members(source, inner)
        members[name] = write_members(inner)
        return
    action = source.choose((0, 1, 2, 3, 3, 3, 3, 4, 5))
    if action == 0:
        members[name] = splice(source, data)
    elif action == 1:
        members[name] = members[source.choose(sorted(members))]
    elif action == 2:
        del members[name]
    else:
        members[name] = edit_array(source, data, action)


def edit_array(source: Source, data: bytes, action: int) -> bytes:
    try:
        array = np.load(io.BytesIO(data))
    except ValueError:
        return data
    if not isinstance(array, np.ndarray):
        return data
    if action == 3 and array.size:
        flat = array.reshape(-1)
        at = source.below(len(flat))
        field = source.choose(array.dtype.names) if array.dtype.names else ...
        view = flat[field] if array.dtype.names else flat
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = source.choose((*NUMBERS, float("nan"), float("inf"), 0.5))
            try:
                view[at] = np.array(value).astype(view.dtype)
            except ValueError:
                return data
    elif action == 4:
        array = array.reshape(-1)[: source.below(array.size + 1)]
    elif array.dtype.kind in "biuf":
        array = array.astype(source.choose(["<f8", "<f4", "<i8", "<i4", "<u4", "?", ">f8"]))
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def edit_json(source: Source, document: Any, words: list[str]) -> None:
    """Change one place inside a document, found by walking down at random."""
    part = document
    while True:
        keys = sorted(part) if isinstance(part, dict) else range(len(part))
        if not len(keys):
            return
        key = source.choose(keys)
        inner = part[key]
        if isinstance(inner, (dict, list)) and len(inner) and source.below(8):
            part = inner
            continue
        break
    number = source.choose(NUMBERS)
    options = [number, str(number), json.dumps(number), None, True, "", "x", [], {}, 0.5, float("nan"), inner, *words]
    choice = source.below(len(options) + 2)
    if choice < len(options):
        part[key] = options[choice]
    elif choice == len(options) and isinstance(part, dict):
        part[source.choose([*words, "type", "content", "file"])] = inner
        del part[key]
    elif isinstance(part, list):
        part.append(inner)
    else:
        del part[key]


def hung(*_: Any) -> None:
    os.write(2, b"HUNG\n")
    os._exit(67)


def main() -> None:
    seconds, seed, engine = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    warnings.simplefilter("ignore")
    faulthandler.enable()
    if engine == "coverage":
        import atheris

        with atheris.instrument_imports(include=["mlopskit.formats"]):
            pass
    target = Target()
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    signal.signal(signal.SIGALRM, hung)
    forbid()
    end = time.monotonic() + seconds
    rng = random.Random(seed)

    def done() -> None:
        os.write(1, (json.dumps(target.counts) + "\n").encode())
        os._exit(0)

    def step(data: bytes) -> None:
        if time.monotonic() > end:
            done()
        target(data)

    if engine == "coverage":
        import atheris

        atheris.Setup([sys.argv[0], f"-seed={seed}", "-max_len=256", "-len_control=0", "-verbosity=0"], step)
        atheris.Fuzz()
    while True:
        step(rng.randbytes(rng.randrange(4, 200)))


if __name__ == "__main__":
    main()
