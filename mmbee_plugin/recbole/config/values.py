"""Checks types and ranges of settings before RecBole, which would fail later or accept wrong ones silently.

This package's settings are declared; RecBole's general ones are listed here; any other has the type of its default,
narrowed by its name: sizes and counts are whole numbers, dropouts are probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import check_folder
from mmbee_plugin.recbole.config.declared import FlatSettings, RunSettings
from mmbee_plugin.recbole.config.layers import default_layers, default_settings


@dataclass(frozen=True)
class Number:
    """A finite number from ``low`` to ``high``."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    above: bool = False
    """excludes ``low`` itself"""

    def check(self, name: str, value: Any) -> None:
        """Raises InputError for a value that is no such number."""
        kind = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value):
            expected = "a whole number" if self.whole else "a number"
            raise InputError(f"{name}: found {value!r}, expected {expected}")
        if self.above and value <= self.low:
            raise InputError(f"{name} {value!r} is out of range, expected more than {self.low:g}")
        if not self.low <= value <= self.high:
            raise InputError(
                f"{name} {value!r} is out of range, expected {self.low:.12g} to {self.high:.12g}"
            )


COUNT = Number(1, whole=True)
NOT_NEGATIVE = Number(0, whole=True)
NUMBERS = {
    "epochs": COUNT,
    "eval_step": COUNT,
    "train_batch_size": COUNT,
    "eval_batch_size": COUNT,
    "stopping_step": NOT_NEGATIVE,
    "worker": NOT_NEGATIVE,
    "loss_decimal_place": NOT_NEGATIVE,
    "metric_decimal_place": NOT_NEGATIVE,
    "seed": Number(0, 2**32 - 1, whole=True),
    "learning_rate": Number(0, above=True),
    "weight_decay": Number(0),
}
ENTRIES = {
    "train_neg_sample_args": {"sample_num": COUNT, "alpha": Number(0), "candidate_num": NOT_NEGATIVE},
    "clip_grad_norm": {"max_norm": Number(0, above=True), "norm_type": Number(0, above=True)},
}
"""numbers within settings that are dicts"""
DICTS = (
    *("train_neg_sample_args", "clip_grad_norm", "eval_args", "threshold", "val_interval", "load_col"),
    *("unload_col", "unused_col", "seq_len"),
)
LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop")
CHOICES: dict[str, tuple[str, ...]] = {
    "learner": LEARNERS,
    "state": ("debug", "info", "warning", "error", "critical"),
    "loss_type": ("BPR", "CE"),
}
WITHOUT_CASE = ("learner", "state")
ORDERS = ("RO", "TO")
SPLITS_LEFT_OUT = ("valid_and_test", "valid_only", "test_only")
MODE = re.compile(r"full|labeled|(uni|pop)[1-9]\d*")
GPUS = re.compile(r"(\d+|(GPU|MIG)-[\w/-]+)(,(\d+|(GPU|MIG)-[\w/-]+))*|")
COUNTED = re.compile(
    r"(^|_)(n|num|size|sizes|layers?|heads?|dims?|dimension|hops?|factors|length|len|steps?|epochs|memory|kernels?)(_|$)"
)
"""matches names of settings that count something, if the default is whole"""
MAY_BE_ZERO = re.compile(r"layer|round|step|epochs|hop|len")
PROBABILITY = re.compile(r"drop_?out|(^|_)drop(_|$)|mask_ratio|corruption_ratio")


def check_values(settings: Mapping[str, Any], model: str) -> None:
    """Raises InputError for the first value that is of a wrong type or out of range.

    Args:
        settings: given settings, from all sources.
        model: name of the model that they are for.
    """
    defaults = default_settings(model)
    declared: list[type[FlatSettings]] = [RunSettings]
    declared += (layer for layer in default_layers(model) if isinstance(layer, type))
    checked = {section.called(field) for section in declared for field in section.model_fields}
    for key, value in settings.items():
        if key in checked:
            continue
        if key in NUMBERS:
            NUMBERS[key].check(key, value)
        elif key in DICTS:
            _check_dict(key, value)
        elif key == "topk":
            for k in value if isinstance(value, list) else [value]:
                COUNT.check(key, k)
        elif key == "gpu_id":
            if not GPUS.fullmatch(str(value)):
                raise InputError(
                    f"gpu_id: found {value!r}, expected numbers of GPUs such as 0 or 0,1, or nothing"
                )
        elif key in CHOICES and str(defaults.get(key)).upper() in map(str.upper, CHOICES[key]):
            _check_choice(key, value)
        else:
            _check_like(key, value, defaults.get(key))
    for section in declared:
        section.among({**defaults, **settings})
    check_folder(Path(settings.get("checkpoint_dir", defaults["checkpoint_dir"])), "checkpoints")
    if settings.get("log_wandb"):
        check_extra("wandb", "log_wandb")


def _check_choice(key: str, value: Any) -> None:
    found = value.lower() if key in WITHOUT_CASE and isinstance(value, str) else value
    if found not in CHOICES[key]:
        raise InputError(f"{key}: found {value!r}, expected one of {', '.join(CHOICES[key])}")


def _check_dict(key: str, value: Any) -> None:
    if value is None or (key == "train_neg_sample_args" and value == "None"):
        return
    if not isinstance(value, Mapping):
        raise InputError(f"{key}: found {value!r}, expected entries {{name: value}}")
    for entry, number in ENTRIES.get(key, {}).items():
        if entry in value:
            number.check(f"{key}.{entry}", value[entry])
    if key == "clip_grad_norm" and "max_norm" not in value:
        raise InputError(f"clip_grad_norm: found {dict(value)!r}, expected an entry max_norm")
    if key == "eval_args":
        _check_eval_args(value)


def chosen_modes(eval_args: Mapping[str, Any]) -> set[str]:
    """The modes of evaluation: one, or that of each part. Raises InputError for an unknown one."""
    mode = eval_args.get("mode", "full")
    modes = list(mode.values()) if isinstance(mode, Mapping) else [mode]
    for found in modes:
        if not isinstance(found, str) or not MODE.fullmatch(found):
            raise InputError(
                f"eval_args.mode: found {found!r}, expected full, labeled, or as uni100 or pop100"
            )
    return set(modes)


def _check_eval_args(value: Mapping[str, Any]) -> None:
    order, split = value.get("order", "RO"), value.get("split")
    if order not in ORDERS:
        raise InputError(f"eval_args.order: found {order!r}, expected one of {', '.join(ORDERS)}")
    chosen_modes(value)
    if split is None:
        return
    if not isinstance(split, Mapping) or len(split) != 1 or not {"RS", "LS", "TS"} & split.keys():
        raise InputError(
            f"eval_args.split: found {split!r}, expected as {{RS: [8, 1, 1]}} or {{LS: valid_and_test}}"
        )
    if "LS" in split and split["LS"] not in SPLITS_LEFT_OUT:
        raise InputError(
            f"eval_args.split.LS: found {split['LS']!r}, expected one of {', '.join(SPLITS_LEFT_OUT)}"
        )
    for rule in {"RS", "TS"} & split.keys():
        shares = split[rule]
        if not isinstance(shares, list) or len(shares) != 3:
            raise InputError(
                f"eval_args.split.{rule}: found {shares!r}, expected three shares such as [8, 1, 1]"
            )
        for share in shares:
            Number(0).check(f"eval_args.split.{rule}", share)
        if not shares[0]:
            raise InputError(f"eval_args.split.{rule}: found {shares!r}, which leaves nothing to train on")


def _check_like(key: str, value: Any, default: Any) -> None:
    """Raises InputError for a value of another type than the default's; a default of None allows any."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{key}: found {value!r}, expected true or false")
    elif isinstance(default, int | float):
        _number_like(key, default).check(key, value)
    elif isinstance(default, str) and not isinstance(value, str | None):
        raise InputError(f"{key}: found {value!r}, expected text; quote it, as in --{key}=\"'{value}'\"")
    elif isinstance(default, list) and default and all(_is_number(each) for each in default):
        if not isinstance(value, list):
            raise InputError(f"{key}: found {value!r}, expected a list such as {default}")
        numbers = [_number_like(key, each) for each in default]
        # The strictest default applies to all: with [1, 32] halves are refused.
        for each in value:
            min(numbers, key=lambda number: not number.whole).check(key, each)


def _number_like(key: str, default: float) -> Number:
    number = Number(0, 1) if PROBABILITY.search(key) else Number()
    if isinstance(default, int) and COUNTED.search(key) and not PROBABILITY.search(key):
        low = 0 if MAY_BE_ZERO.search(key) else 1
        return replace(number, whole=True, low=low if default >= low else -math.inf)
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
