"""Opens a bundle: the model with its weights, the authors' arrays, and the format of live segments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.modules.exchange import model_of
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.named import module_name
from mmbee_plugin.serving.bundle.arrays import mapped, tensor
from mmbee_plugin.serving.bundle.source import LiveContent, LiveModality
from mmbee_plugin.serving.bundle.tokens import TokenIndex

SHARE = 0.8
"""largest share of the machine's free memory that a bundle may map"""


@dataclass(frozen=True)
class Bundle:
    """A bundle without the users' records, memory-mapped and read-only.

    Attributes:
        tokens: index of the authors' tokens.
        authors: fields of :class:`~mmbee_plugin.modules.batch.AuthorSide` by author row, (A + 1, ·).
        encoded: ``top`` and, where the model has them, ``views`` of all authors (A + 1, ·), for static items; empty
            for live data.
        live: format of live segments; None for static items.
        windows: arrays of the live authors' segments at the end of training, see `build`; empty for static items.
        origin: zero of the data's clock, in seconds since the epoch.
        until: end of training, in seconds since the epoch; None for data without time.
    """

    folder: Path
    manifest: Mapping[str, Any]
    gtr: GTRModel
    tokens: TokenIndex
    authors: Mapping[str, torch.Tensor]
    encoded: Mapping[str, torch.Tensor]
    live: LiveContent | None
    windows: Mapping[str, NDArray]
    origin: float
    until: float | None

    @property
    def id(self) -> str:
        """Its name, a hash of the content."""
        return self.manifest["id"]

    @property
    def trained_share(self) -> float | None:
        """Share of the log's negatives that were training rows, which turns logits of the first task into chances in
        the log; None for another loss than the logistic, or training on negatives that it drew."""
        return self.manifest["data"].get("negatives") if self.manifest["chances"] else None


def open_bundle(folder: Path, manifest: Mapping[str, Any]) -> Bundle:
    """Maps a bundle whose files have been checked.

    Raises:
        InputError: a model of another version, or more data than :data:`SHARE` of the free memory.
    """
    others = ("users.npy", "steps/")  # which the store reads a row of, and scorers nothing
    size = sum(entry["size"] for name, entry in manifest["files"].items() if not name.startswith(others))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else size * 2
    if size > max(free * SHARE, 1 << 28):
        raise InputError(
            f"{folder}: {size / 2**30:.1f} GiB beside the users, {free / 2**30:.1f} GiB are free here"
        )
    try:
        gtr = model_of(manifest["model"])
    except InputError as error:
        raise InputError(f"{folder / 'manifest.json'}: {error}; build the bundle again") from None
    try:
        gtr.load_state_dict(load_file(folder / "dense.safetensors"))
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder / 'dense.safetensors'}: {one_line(error)}") from None
    gtr.requires_grad_(False)
    authors = {path.stem: tensor(path) for path in sorted((folder / "authors").glob("*.npy"))}
    data = manifest["data"]
    return Bundle(
        folder=folder,
        manifest=manifest,
        gtr=gtr,
        tokens=TokenIndex(folder / "tokens" / "authors"),
        authors=authors,
        encoded={path.stem: tensor(path) for path in sorted((folder / "encoded").glob("*.npy"))},
        live=None if manifest["live"] is None else _live(folder, manifest["live"]),
        windows={path.stem: mapped(path) for path in sorted((folder / "windows").glob("*.npy"))},
        origin=data["origin"],
        until=None if data["until"] is None else data["origin"] + data["until"],
    )


def _live(folder: Path, entry: Mapping[str, Any]) -> LiveContent:
    modalities = {}
    for name, kind in entry["modalities"].items():
        mean, deviation = np.load(folder / "moments" / f"{module_name(name)}.npy", allow_pickle=False)
        modalities[name] = LiveModality(kind["frames"], kind["width"], kind["dtype"], mean, deviation)
    return LiveContent(entry["seconds"], entry["length"], modalities, entry.get("on_air"))
