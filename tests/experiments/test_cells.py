"""Cells as files: kept whole or not at all, found by all that they depend on."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments import code
from mmbee_plugin.experiments.cells import Cell, CellStore

KEY = {"data": "d1", "settings": {"width": 32}, "seed": 1}


def test_a_cell_comes_back_under_its_own_key_alone(tmp_path):
    store = CellStore(tmp_path / "new" / "cells")
    store.put(KEY, Cell({"test scores": np.arange(3, dtype=np.float32)}, {"seconds": 1.5}))
    found = store.get({"seed": 1, "settings": {"width": 32}, "data": "d1"})
    assert found is not None
    assert found.arrays["test scores"].dtype == np.float32
    assert found.facts == {"seconds": 1.5}
    assert store.get({**KEY, "seed": 2}) is None
    assert len(list(store.folder.iterdir())) == 2  # nothing left beside them


def test_a_cell_cut_short_by_a_kill_is_not_there(tmp_path):
    store = CellStore(tmp_path)
    store.put(KEY, Cell({"a": np.ones(2)}, {}))
    file = store.file(KEY)
    text = file.read_text()
    file.unlink()  # killed between its two files
    assert store.get(KEY) is None
    file.write_text(text)
    file.with_suffix(".npz").write_bytes(b"PK cut")
    with pytest.raises(InputError, match=r"damaged cell .*; delete it"):
        store.get(KEY)


def test_the_digest_follows_imports_and_nothing_else(tmp_path, monkeypatch):
    root = tmp_path / "mmbee_plugin"
    (root / "cli").mkdir(parents=True)
    (root / "sub").mkdir()
    (root / "acting").mkdir()
    (root / "giver").mkdir()
    sources = {
        "__init__": "",
        "run": "def f():\n    from mmbee_plugin import part\n    import mmbee_plugin.cli.app",
        "taker": "from mmbee_plugin.giver import name",
        "giver/__init__": "from mmbee_plugin.giver.own import name\n__all__ = ['name']",
        "giver/own": "",
        "part": "from mmbee_plugin.sub import deep",
        "acting/__init__": "from mmbee_plugin.reached import g\n\ng()",
        "acting/own": "",
        "reached": "",
        "other": "",
        "sub/__init__": "from mmbee_plugin.other import x",
        "sub/deep": "from mmbee_plugin.acting.own import f",
        "cli/app": "",
    }
    for name, text in sources.items():
        (root / f"{name}.py").write_text(text)
    monkeypatch.setattr(code, "ROOT", root)

    def digest() -> str:
        code.code_digest.cache_clear()
        return code.code_digest("mmbee_plugin.run", "mmbee_plugin.taker", "recbole.model")

    for name, counts in (
        ("run", True),
        ("sub/deep", True),
        ("sub/__init__", False),  # it passes on what nobody takes from it
        ("other", False),
        ("acting/__init__", True),
        ("reached", True),
        ("giver/__init__", True),
        ("giver/own", True),
        ("cli/app", False),
    ):
        before = digest()
        with (root / f"{name}.py").open("a") as file:
            file.write("\n# changed")
        assert (digest() != before) == counts, name
    code.code_digest.cache_clear()
