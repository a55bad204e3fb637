from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from mmbee_plugin.data.arrays import read_array, read_rows, read_tensor
from mmbee_plugin.errors import InputError


def test_reads_object_rows_of_ints_and_numpy_scalars(tmp_path):
    rows = [[0, 3, 4], [1], [np.int64(2), np.int64(7)], np.array([3, 1])]
    array = np.empty(4, dtype=object)
    array[:] = rows
    np.save(tmp_path / "rows.npy", array)
    assert read_rows(tmp_path / "rows.npy") == [[0, 3, 4], [1], [2, 7], [3, 1]]


@pytest.mark.parametrize("dtype", [object, np.int32, np.uint8])
def test_reads_rows_of_equal_length(tmp_path, dtype):
    np.save(tmp_path / "rows.npy", np.array([[0, 3], [1, 4]], dtype=dtype))
    assert read_rows(tmp_path / "rows.npy") == [[0, 3], [1, 4]]


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("where", [lambda: Evil(), lambda: [0, Evil()]])
def test_an_object_array_is_not_run(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    array = np.empty(1, dtype=object)
    array[0] = where()
    np.save(tmp_path / "rows.npy", array)
    with pytest.raises(InputError, match=r"system.*nothing in it was run"):
        read_rows(tmp_path / "rows.npy")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, -1], "row 1: -1 is no id"),
        ([0, 1.5], r"row 1: '1.5' \(float\)"),
        ([0, "1"], r"row 1: '1' \(str\)"),
        ([0, True], r"\(bool\)"),
        ([0, 2**70], "a huge number is no id"),
        ("01", "row 1: no list"),
        (None, "row 1: no list"),
    ],
)
def test_names_a_bad_row(tmp_path, row, message):
    array = np.empty(2, dtype=object)
    array[0], array[1] = [0, 1], row
    np.save(tmp_path / "rows.npy", array)
    with pytest.raises(InputError, match=rf"rows\.npy, {message}" if message.startswith("row") else message):
        read_rows(tmp_path / "rows.npy")


def test_refuses_plain_arrays_of_another_kind(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.ones((2, 2)))
    with pytest.raises(InputError, match=r"float64 of shape \(2, 2\); 2 dimensions of whole numbers"):
        read_rows(path)
    with pytest.raises(InputError, match="1 dimensions of truth values"):
        read_array(path, dimensions=1, kinds="b")
    np.save(path, np.array([[1], [2, 3]], dtype=object))
    with pytest.raises(InputError, match=r"not a plain \.npy array"):
        read_array(path, dimensions=2, kinds="f")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="truncated"):
        read_rows(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(tmp_path / "none.npy")


def test_arrays_are_memory_mapped(tmp_path):
    np.save(tmp_path / "array.npy", np.ones((2, 2)))
    assert isinstance(read_array(tmp_path / "array.npy", dimensions=2, kinds="f"), np.memmap)


@pytest.mark.parametrize("legacy", [True, False])
def test_reads_tensors_of_both_formats(tmp_path, legacy):
    values = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    torch.save(values, tmp_path / "t.pt", _use_new_zipfile_serialization=not legacy)
    read = read_tensor(tmp_path / "t.pt", dimensions=2, kinds="f")
    assert read.dtype == np.float64 and read.tolist() == values.tolist()


@pytest.mark.parametrize("legacy", [True, False])
def test_a_foreign_torch_file_is_refused(tmp_path, monkeypatch, legacy):
    monkeypatch.chdir(tmp_path)
    torch.save([Evil()], tmp_path / "t.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=r"t\.pt: not a torch file with one tensor"):
        read_tensor(tmp_path / "t.pt", dimensions=2, kinds="f")
    assert not (tmp_path / "ran").exists()
    torch.save({"a": torch.ones(1)}, tmp_path / "t.pt")
    with pytest.raises(InputError, match="holds a dict"):
        read_tensor(tmp_path / "t.pt", dimensions=2, kinds="f")
