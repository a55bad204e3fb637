from __future__ import annotations

import os
import pickle
import pickletools
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from mmbee_plugin.data.pickles import load, read_sparse
from mmbee_plugin.errors import InputError


@pytest.fixture
def matrix() -> scipy.sparse.coo_matrix:
    cells = (np.array([1.0, 2.0, 0.0, 1.0]), (np.array([0, 1, 1, 2]), np.array([3, 0, 2, 1])))
    return scipy.sparse.coo_matrix(cells, shape=(3, 4))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", ["coo", "csr"])
def test_reads_what_scipy_pickles(tmp_path, matrix, form, protocol):
    path = tmp_path / "matrix.pkl"
    path.write_bytes(pickle.dumps(matrix.asformat(form), protocol=protocol))
    pairs = read_sparse(path)
    assert pairs.shape == (3, 4)
    assert sorted(zip(pairs.rows, pairs.columns, strict=True)) == [
        (0, 3),
        (1, 0),
        (2, 1),
    ]  # a stored zero is no pair


@pytest.mark.parametrize(
    ("module", "numpy_core"),
    [("scipy.sparse.coo", "numpy.core"), ("scipy.sparse._coo", "numpy._core")],
)
def test_reads_old_and_new_module_paths(tmp_path, matrix, module, numpy_core):
    text = pickle.dumps(matrix, protocol=2)
    text = text.replace(b"cscipy.sparse._coo\n", f"c{module}\n".encode())
    text = re.sub(rb"cnumpy\._?core\.multiarray\n", f"c{numpy_core}.multiarray\n".encode(), text)
    assert module.encode() in text and numpy_core.encode() in text
    (tmp_path / "matrix.pkl").write_bytes(text)
    assert len(read_sparse(tmp_path / "matrix.pkl").rows) == 3


def test_reads_coords_of_newer_scipy(tmp_path, matrix):
    state = matrix.__dict__
    if "coords" not in state:
        state["coords"] = (state.pop("row"), state.pop("col"))
    (tmp_path / "matrix.pkl").write_bytes(pickle.dumps(matrix))
    assert read_sparse(tmp_path / "matrix.pkl").rows.tolist() == [0, 1, 2]


class Call:
    """Pickles to a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _marker(tmp_path: Path) -> str:
    return f"touch {tmp_path / 'ran'}"


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda p: Call(os.system, _marker(p)), "system"),
        (lambda p: Call(eval, f"__import__('os').system({_marker(p)!r})"), "eval"),
        (lambda p: Call(exec, f"__import__('os').system({_marker(p)!r})"), "exec"),
        (lambda p: Call(getattr, os, "system"), "getattr"),
        (lambda p: Call(np.load, str(p / "file.npy"), None, True), "load"),
        (lambda p: Call(np.fromfile, str(p / "file.npy")), "fromfile"),
        (lambda p: Call(np.memmap, str(p / "ran"), "u1", "w+", 0, (4,)), "memmap"),
        (lambda p: Call(np.save, str(p / "ran.npy"), [1]), "save"),
        (lambda p: [Call(os.system, _marker(p))], "system"),
        (lambda p: {"row": Call(os.system, _marker(p))}, "system"),
    ],
)
def test_refuses_foreign_names_without_running_them(tmp_path, build, name, protocol):
    path = tmp_path / "evil.pkl"
    try:
        path.write_bytes(pickle.dumps(build(tmp_path), protocol=protocol))
    except (TypeError, pickle.PicklingError):
        path.write_bytes(b"cbuiltins\ngetattr\n.")  # a module cannot be pickled; its getter can be named
    with pytest.raises(InputError, match=rf"evil\.pkl.*{name}.*nothing in it was run"):
        read_sparse(path)
    assert not list(tmp_path.glob("ran*"))


@pytest.mark.parametrize("name", ["runstring", "os.system", "_reconstruct.__globals__"])
def test_refuses_other_names_of_allowed_modules(tmp_path, name):
    for module in (
        "numpy",
        "numpy.core.multiarray",
        "numpy.testing._private.utils",
        "_codecs",
        "scipy.sparse._coo",
    ):
        code = (
            b"\x80\x04\x8c"
            + bytes([len(module)])
            + module.encode()
            + b"\x8c"
            + bytes([len(name)])
            + name.encode()
        )
        with pytest.raises(InputError, match="nothing in it was run"):
            load(code + b"\x93.", tmp_path / "x.pkl")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (b"(S'touch x'\nios\nsystem\n.", "INST"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"Pid\n.", "PERSID"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "without bound"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.", "encodes text"),
        (b"c_codecs\nencode\n}(X\x01\x00\x00\x00aK\x01ub.", "sets attributes"),
        (b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00V8\x85R.", "array type"),
        (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
            "foreign class",
        ),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "no scipy sparse matrix"),
        (b"\x80\x02cscipy.sparse._coo\ncoo_matrix\n)\x81.", "lacks its index arrays"),
        (b"", "not a pickle of arrays, or truncated"),
        (b"not a pickle", "not a pickle of arrays, or truncated"),
    ],
)
def test_refuses_opcodes_and_misuse(tmp_path, code, reason):
    path = tmp_path / "evil.pkl"
    path.write_bytes(code)
    with pytest.raises(InputError, match=reason):
        read_sparse(path)


def test_an_array_never_reaches_past_its_data(tmp_path, matrix):
    text = pickle.dumps(matrix, protocol=2)
    longer = text.replace(b"K\x04\x85", b"K\x05\x85")  # the shape of row, col and data
    assert longer != text
    (tmp_path / "matrix.pkl").write_bytes(longer)
    with pytest.raises(InputError, match="does not hold its 5 elements"):
        read_sparse(tmp_path / "matrix.pkl")


def test_refuses_cells_outside_the_matrix(tmp_path, matrix):
    matrix.row[1] = 3
    (tmp_path / "matrix.pkl").write_bytes(pickle.dumps(matrix))
    with pytest.raises(InputError, match=r"entry 1: row 3 is outside the matrix of 3 x 4"):
        read_sparse(tmp_path / "matrix.pkl")


def test_refuses_every_truncation(tmp_path, matrix):
    text = pickletools.optimize(pickle.dumps(matrix))
    for length in range(len(text)):
        with pytest.raises(InputError):
            load(text[:length], tmp_path / "matrix.pkl")
