"""Opens the array files of public data, `.npy` and `.pt`, without running code from them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np

from mmbee_plugin.data.pickles import PickledArray, load, read_bytes, refusal
from mmbee_plugin.errors import InputError, one_line


def read_rows(path: Path) -> list[list[int]]:
    """Reads a `.npy` of rows of whole numbers: a 2-D array, an object array of lists of any lengths, or one dict
    `{user: [item, …]}`, whose entries become rows [user, item, …].

    Raises InputError for other content or a foreign or truncated file; names the bad row (from 0).
    """
    data = read_bytes(path)
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"npy version {version} is not used for such arrays")
        shape, _, dtype = read_header(stream)
    except Exception as error:  # foreign bytes: numpy's header reader raises whatever its parser meets
        raise refusal(path, error, "a .npy file") from None
    if dtype.hasobject:
        value = load(data[stream.tell() :], path)
        rows = value.value if isinstance(value, PickledArray) else None
        if shape == () and isinstance(rows, list) and isinstance(rows[0], dict):
            return [_entry(user, items, path) for user, items in rows[0].items()]
    else:
        rows = read_array(path, dimensions=2, kinds="iu").tolist()
    if not isinstance(rows, list) or len(rows) != (shape[0] if shape else -1):
        raise InputError(f"{path}: the header says shape {shape}, which the array behind it does not have")
    return [_whole_numbers(row, path, number) for number, row in enumerate(rows)]


def read_array(path: Path, *, dimensions: int, kinds: str) -> np.ndarray:
    """Opens a plain `.npy` memory-mapped.

    Args:
        path: the file.
        dimensions: required number of dimensions.
        kinds: allowed numpy dtype kinds, such as "f" or "iu".

    Raises:
        InputError: another array, an object array, or a truncated file.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None
    except Exception as error:  # foreign bytes: numpy raises whatever its parser meets
        raise refusal(path, error, "a plain .npy array") from None
    _check_array(array, path, dimensions, kinds)
    return array


def read_tensor(path: Path, *, dimensions: int, kinds: str) -> np.ndarray:
    """Reads the single tensor of a `.pt` file, legacy format included; arguments and errors as `read_array`.

    Unpickles tensors only (`weights_only`).
    """
    import torch  # slow to import

    read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error names the fault
            value = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"it holds a {type(value).__name__}, not a tensor")
        array = value.detach().numpy()
    except Exception as error:  # foreign bytes: torch raises whatever its reader meets
        raise refusal(path, error, "a torch file with one tensor") from None
    _check_array(array, path, dimensions, kinds)
    return array


def _check_array(array: np.ndarray, path: Path, dimensions: int, kinds: str) -> None:
    if array.ndim != dimensions or array.dtype.kind not in kinds:
        known = {"f": "floats", "iu": "whole numbers", "fiu": "numbers", "b": "truth values", "V": "records"}
        wanted = known[kinds]
        raise InputError(
            f"{path}: {array.dtype} of shape {array.shape}; {dimensions} dimensions of {wanted} are needed"
        )


def _entry(user: object, items: object, path: Path) -> list[int]:
    """Row [user, item, …] of a dict entry."""
    (number,) = _whole_numbers([user], path, 0)
    return [number, *_whole_numbers(sorted(items) if isinstance(items, set) else items, path, number)]


def _whole_numbers(row: object, path: Path, number: int) -> list[int]:
    if isinstance(row, PickledArray):
        row = row.value.tolist() if isinstance(row.value, np.ndarray) else row.value
    if not isinstance(row, (list, tuple)):
        raise InputError(f"{path}, row {number}: no list; [user, item, …] is needed")
    for value in row:
        if type(value) is not int:
            raise InputError(
                f"{path}, row {number}: {str(value)[:40]!r} ({type(value).__name__}) is no whole number"
            )
        if not 0 <= value < 2**31:
            shown = value if abs(value) < 2**64 else "a huge number"
            raise InputError(f"{path}, row {number}: {shown} is no id; ids are 0 .. 2^31 - 1")
    return list(row)
