"""Reads pickles and object arrays of public data sets without running code from them.

A pickle is a program that imports names. Only the names that arrays and sparse matrices need are resolved, and to
stand-ins of this module instead of numpy and scipy objects; they check their arguments and hold data. All other names,
and opcodes that these formats do not use, are refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.errors import InputError, one_line


@dataclass(frozen=True)
class SparsePairs:
    """Non-zero cells of a sparse matrix: rows and columns, (nnz,) int64, and its shape."""

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]


def read_sparse(path: Path) -> SparsePairs:
    """Reads a pickled `scipy.sparse` COO or CSR matrix of any scipy version; raises InputError for anything else."""
    value = load(read_bytes(path), path)
    try:
        _check(isinstance(value, _Sparse), "it holds no scipy sparse matrix in COO or CSR form")
        pairs = _pairs(value)
    except (pickle.UnpicklingError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise refusal(path, error) from None
    for axis, ids in enumerate((pairs.rows, pairs.columns)):
        outside = np.flatnonzero((ids < 0) | (ids >= pairs.shape[axis]))
        if outside.size:
            entry = int(outside[0])
            where = f"{path}, entry {entry}: {('row', 'column')[axis]} {int(ids[entry])}"
            raise InputError(f"{where} is outside the matrix of {pairs.shape[0]} x {pairs.shape[1]}")
    return pairs


def read_bytes(path: Path) -> bytes:
    """Content of a file; raises InputError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None


def refusal(path: Path, error: Exception, wanted: str = "a pickle of arrays") -> InputError:
    """One-line error for a file that is not `wanted`, with the reason given by its parser's `error`."""
    return InputError(f"{path}: not {wanted}, or truncated: {one_line(error)}")


# ---- the stand-ins: slots and checked states, so that a pickle cannot set other attributes ----


def _check(fine: bool, refused: str) -> None:
    if not fine:
        raise pickle.UnpicklingError(refused)


class _Function:
    """Stands for a function: can be called and nothing else."""

    __slots__ = ("_run",)

    def __init__(self, run: Any) -> None:
        self._run = run

    def __call__(self, *arguments: object) -> object:
        return self._run(*arguments)

    def __setstate__(self, state: object) -> None:
        _check(False, "it sets attributes of a function")


class _DType:
    """Stands for `numpy.dtype`; numbers, booleans and objects only."""

    __slots__ = ("dtype",)
    _CODES = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "O8"))

    def __init__(self, code: Any, align: object = False, copy: object = False) -> None:
        fine = isinstance(code, str) and code in self._CODES
        _check(fine, "it uses an array type other than numbers and objects")
        self.dtype = np.dtype("O" if code == "O8" else code)

    def __setstate__(self, state: Any) -> None:
        order, *others = state[1:5]
        _check(order in ("<", ">", "|", "=") and others == [None] * 3, "it uses a structured array type")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder(order)


class PickledArray:
    """Stands for `numpy.ndarray`; `value` is an array of numbers, or a list of objects."""

    __slots__ = ("value",)
    value: np.ndarray | list[Any]

    def __new__(cls) -> PickledArray:  # opcodes do not call __init__
        array = super().__new__(cls)
        array.value = []
        return array

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self.value = _filled(data, kind, shape, bool(fortran))


class _Sparse:
    """Stands for a `scipy.sparse` matrix; `state` has its attributes."""

    __slots__ = ("state",)
    state: dict[str, Any]

    def __new__(cls) -> _Sparse:
        matrix = super().__new__(cls)
        matrix.state = {}
        return matrix

    def __setstate__(self, state: Any) -> None:
        self.state = dict(state)


class _Coo(_Sparse):
    __slots__ = ()


class _Csr(_Sparse):
    __slots__ = ()


def _filled(data: Any, kind: Any, shape: Any, fortran: bool) -> np.ndarray | list[Any]:
    _check(isinstance(kind, _DType) and _is_shape(shape), "an array in it has no valid type or shape")
    size = math.prod(shape)
    lacking = f"an array in it does not hold its {size} elements"
    if kind.dtype.hasobject:
        _check(isinstance(data, list) and len(data) == size and len(shape) < 3 and not fortran, lacking)
        width = shape[1] if len(shape) == 2 else 0
        return [data[i : i + width] for i in range(0, size, width)] if width else list(data)
    if isinstance(data, str):  # as pickled by Python 2
        data = data.encode("latin1")
    _check(isinstance(data, bytes | bytearray) and len(data) == size * kind.dtype.itemsize, lacking)
    return np.frombuffer(data, kind.dtype).reshape(shape, order="F" if fortran else "C")


def _is_shape(shape: object) -> bool:
    return isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)


def _pairs(matrix: Any) -> SparsePairs:
    state, shape = matrix.state, matrix.state.get("_shape")
    both = state.get("coords")  # scipy >= 1.13; earlier `row` and `col`
    if isinstance(matrix, _Csr):
        both = state.get("indptr"), state.get("indices")
    elif not isinstance(both, tuple) or len(both) != 2:
        both = state.get("row"), state.get("col")
    rows, columns = map(_whole, both)
    valid = _is_shape(shape) and len(shape) == 2 and max(shape) < 2**31
    _check(valid, "the matrix in it has no valid shape")
    if isinstance(matrix, _Csr):
        counts = np.diff(rows)
        ends = rows.size == shape[0] + 1 and rows[0] == 0 and rows[-1] == columns.size
        _check(ends and bool((counts >= 0).all()), "the row pointers of the matrix in it do not fit")
        rows = np.repeat(np.arange(shape[0], dtype=np.int64), counts)
    _check(rows.shape == columns.shape, "the matrix in it has more rows than columns, or fewer")
    data = getattr(state.get("data"), "value", None)
    whole = isinstance(data, np.ndarray) and data.shape == columns.shape
    _check(whole, "the matrix in it does not hold one value a cell")
    return SparsePairs(rows[data != 0], columns[data != 0], shape)


def _whole(value: object) -> np.ndarray:
    array: Any = value.value if isinstance(value, PickledArray) else None
    whole = isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "iu"
    _check(whole, "the matrix in it lacks its index arrays")
    return array.astype(np.int64)


def _encode(text: str, encoding: str) -> bytes:
    _check(encoding == "latin1", "it encodes text other than array data")
    return text.encode("latin1")


def _reconstruct(kind: object, shape: object, code: object) -> PickledArray:
    _check(kind is PickledArray, "it builds an array of a foreign class")
    return PickledArray()


def _from_buffer(data: object, kind: object, shape: object, order: object) -> PickledArray:
    array = PickledArray()
    array.value = _filled(data, kind, shape, order == "F")
    return array


def _scalar(kind: object, data: object) -> object:
    value = _filled(data, kind, (1,), False)
    _check(isinstance(value, np.ndarray), "it holds a scalar that is no number")
    return value[0].item()


_NAMES: dict[tuple[str, str], object] = {
    ("_codecs", "encode"): _Function(_encode),
    ("collections", "defaultdict"): _Function(lambda *_: {}),
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): _DType,
}
for _builtins in ("builtins", "__builtin__"):  # Python 3, Python 2
    _NAMES[_builtins, "list"] = _Function(list)  # factory of a defaultdict
    _NAMES[_builtins, "set"] = _Function(set)
for _core in ("numpy.core", "numpy._core"):  # numpy 1, numpy 2
    for _module in (f"{_core}.multiarray", f"{_core}._multiarray_umath"):
        _NAMES[_module, "_reconstruct"] = _Function(_reconstruct)
        _NAMES[_module, "scalar"] = _Function(_scalar)
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _Function(_from_buffer)
for _form, _stand_in in (("coo", _Coo), ("csr", _Csr)):
    for _module in (f"scipy.sparse.{_form}", f"scipy.sparse._{_form}"):  # before and since scipy 1.8
        _NAMES[_module, f"{_form}_matrix"] = _stand_in
        _NAMES[_module, f"{_form}_array"] = _stand_in

_REFUSED_OPCODES = frozenset(
    ("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "INST", "OBJ", "NEXT_BUFFER", "READONLY_BUFFER")
)


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it names {f'{module}.{name}'[:80]!r}, which is not data; nothing in it was run"
            ) from None


def load(data: bytes, path: Path) -> object:
    """Unpickles numbers, texts, lists, tuples, dicts and the stand-ins; raises InputError for anything else."""
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _REFUSED_OPCODES:
                raise pickle.UnpicklingError(f"it uses the opcode {opcode.name}, which is not data")
            # The unpickler allocates all memo slots below the index: one opcode could exhaust the memory.
            if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(data):
                raise pickle.UnpicklingError("it numbers its objects without bound")
        return _DataUnpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # foreign bytes can make the unpickler raise anything
        raise refusal(path, error) from None
