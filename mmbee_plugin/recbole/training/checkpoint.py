"""Checkpoints as plain data.

RecBole pickles its whole `Config` into every checkpoint, which `torch.load` refuses to read since torch 2.6
(``weights_only``): reading it runs whatever code the file names. Here a checkpoint holds only tensors, numbers,
strings, lists, tuples and dicts. It is read with ``weights_only=True``; a `Config` is rebuilt from its settings, so
RecBole's own functions still find the object they expect under ``checkpoint["config"]``.
"""

import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from recbole.config import Config
from recbole.utils import EvaluatorType, InputType, ModelType

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked, replaced

FORMAT = "mmbee_plugin checkpoint 1"

MAY_DIFFER = frozenset(
    {
        "epochs", "stopping_step", "checkpoint_dir", "data_path", "gpu_id", "use_gpu", "nproc", "world_size",
        "ip", "port", "offset", "show_progress", "state", "verbose", "loss_decimal_place", "save_dataset",
        "dataset_save_path", "save_dataloaders", "dataloaders_save_path", "log_wandb", "wandb_project",
    }
)  # fmt: skip
"""Settings that a resumed run may change: duration, place and verbosity, which do not affect what it computes."""

_ENUMS: dict[str, type[Enum]] = {
    "MODEL_TYPE": ModelType,
    "MODEL_INPUT_TYPE": InputType,
    "eval_type": EvaluatorType,
}
# Facts about the machine, recomputed where a checkpoint is read.
_OF_THE_MACHINE = frozenset({"device", "local_rank", "single_spec"})


def last_file(best: str | Path) -> Path:
    """The file with a run's latest state between two epochs; `best` is the file of its best epoch."""
    path = Path(best)
    return path.with_name(f"{path.stem}-last{path.suffix}")


def best_file(either: str | Path) -> Path:
    """The file of a run's best epoch, from that or :func:`last_file`."""
    path = Path(either)
    return path.with_name(f"{path.stem.removesuffix('-last')}{path.suffix}")


def alone(either: str | Path) -> AbstractContextManager[int]:
    """Locks a checkpoint's run for a block, or until the process ends. Raises InputError if it is locked."""
    last = last_file(best_file(either))
    complaint = f"the run of {last.name} goes on in another process; let it end, or stop it"
    return locked(last.with_name(f".{last.name}.lock"), complaint)


def save(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes a checkpoint atomically.

    Args:
        state: as RecBole's trainers make it; ``state["config"]`` may be a `Config`. Arrays and sparse
            matrices (some models keep them in ``other_parameter``) become tensors; modules there are left out, since
            ``state_dict`` has their weights.

    Raises:
        InputError: the file cannot be written, such as on a full disk; an older one stays.
        TypeError: a value has no plain form.
    """
    plain = _encode({**state, "format": FORMAT}, "checkpoint")
    try:
        with replaced(Path(path), "wb") as file:
            torch.save(plain, file)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
        raise InputError(f"{path}: the checkpoint cannot be written: {_first_line(error)}") from None


def load(path: str | os.PathLike[str], map_location: Any = None) -> dict[str, Any]:
    """Reads a checkpoint written by `save`, with its `Config` rebuilt; runs no code from the file.

    Raises:
        InputError: the file is missing, cut short, holds pickled objects, or is no checkpoint of this plugin.
    """
    state = load_plain(path, map_location)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"{path}: not a checkpoint of this plugin (its format should be {FORMAT!r})")
    return state


def load_plain(path: str | os.PathLike[str], map_location: Any = None) -> Any:
    """Reads any file of tensors and plain values; rebuilds the `Config` of one that `save` wrote.

    Raises:
        InputError: the file is missing, cut short, or holds pickled objects.
    """
    try:
        state = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: holds pickled objects, which are not read because reading them runs their code; "
            "a checkpoint written with this plugin imported holds plain values only"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a checkpoint: {_first_line(error)}") from None
    return _decode(state)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def plain_config(config: Config) -> dict[str, Any]:
    """A `Config` as plain values: the settings in effect, and the given ones.

    Raises:
        TypeError: a setting has no plain form; the message names it.
    """
    settings = {k: v for k, v in config.final_config_dict.items() if k not in _OF_THE_MACHINE}
    for key in _ENUMS:
        if isinstance(settings.get(key), Enum):
            settings[key] = settings[key].name
    return {
        "settings": _encode(settings, "settings"),
        "given": _encode(dict(config.external_config_dict), "settings"),
    }


def check_same_settings(saved: Config, current: Config, path: str | Path) -> None:
    """Raises InputError naming the first setting in which the run saved in `path` differs from the current one."""
    before, now = (plain_config(config)["settings"] for config in (saved, current))
    keys = sorted(before.keys() | now.keys(), key=lambda key: (key not in ("model", "dataset"), key))
    for key in keys:
        if key not in MAY_DIFFER and before.get(key) != now.get(key):
            raise InputError(
                f"{path}: its run had {key}={before.get(key)!r}, this one has {key}={now.get(key)!r}; "
                "a run is resumed with its own settings"
            )


def rebuild_config(plain: Mapping[str, Any]) -> Config:
    """The inverse of `plain_config`, on this machine's device.

    Raises:
        InputError: the model it names is not known here.
    """
    settings = {key: _decode(value) for key, value in plain["settings"].items()}
    for key, kind in _ENUMS.items():
        if isinstance(settings.get(key), str):
            settings[key] = kind[settings[key]]
    config = Config.__new__(Config)
    config.compatibility_settings()
    config._init_parameters_category()
    config.yaml_loader = config._build_yaml_loader()
    config.file_config_dict, config.cmd_config_dict = {}, {}
    config.variable_config_dict = {key: _decode(value) for key, value in plain["given"].items()}
    config._merge_external_config_dict()
    config.model, config.model_class, config.dataset = config._get_model_and_dataset(
        settings["model"], settings["dataset"]
    )
    config.internal_config_dict = {}
    config.final_config_dict = settings
    config._init_device()
    return config


def _encode(value: Any, name: str) -> Any:
    """`value` in types that ``weights_only`` reads; `name` is its place, for errors."""
    if isinstance(value, np.generic):  # before float and str, of which np.float64 and np.str_ are subclasses
        return value.item()
    if value is None or isinstance(value, bool | int | float | str | torch.Tensor):
        return value
    if isinstance(value, Config):
        return {"__config__": plain_config(value)}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        data = torch.frombuffer(bytearray(value.tobytes()), dtype=torch.uint8) if value.size else None
        kind = "matrix" if isinstance(value, np.matrix) else "array"
        return {"__numpy__": kind, "dtype": value.dtype.str, "shape": tuple(value.shape), "data": data}
    if scipy.sparse.issparse(value):
        coo = value.tocoo()
        parts = {key: _encode(getattr(coo, key), name) for key in ("row", "col", "data")}
        return {"__sparse__": value.format, "shape": tuple(map(int, value.shape)), **parts}
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if not isinstance(item, torch.nn.Module)}
        encoded = {key: _encode(item, f"{name}.{key}") for key, item in kept.items()}
        return OrderedDict(encoded) if isinstance(value, OrderedDict) else encoded
    if isinstance(value, list | tuple):
        items = [_encode(item, name) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    raise TypeError(
        f"{name}: a checkpoint cannot hold a {type(value).__name__}, plain values and arrays only"
    )


def _decode(value: Any) -> Any:
    """The inverse of `_encode`."""
    if isinstance(value, Mapping):
        if "__config__" in value:
            return rebuild_config(value["__config__"])
        if "__numpy__" in value:
            return _decode_array(value)
        if "__sparse__" in value:
            data, row, col = (_decode(value[key]) for key in ("data", "row", "col"))
            return scipy.sparse.coo_matrix((data, (row, col)), value["shape"]).asformat(value["__sparse__"])
        decoded = {key: _decode(item) for key, item in value.items()}
        return OrderedDict(decoded) if isinstance(value, OrderedDict) else decoded
    if isinstance(value, list | tuple):
        items = [_decode(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _decode_array(value: Mapping[str, Any]) -> np.ndarray:
    data = b"" if value["data"] is None else value["data"].cpu().numpy().tobytes()
    array = np.frombuffer(data, dtype=np.dtype(value["dtype"])).reshape(value["shape"]).copy()
    return np.asmatrix(array) if value["__numpy__"] == "matrix" else array
