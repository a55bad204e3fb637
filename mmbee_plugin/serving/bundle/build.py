"""Writes a trained model and its data as a bundle.

The layout of ``bundles/<id>/``, for U users and A authors::

    manifest.json               see `manifest`
    dense.safetensors           weights of GTRModel
    tokens/{users,authors}/     see `mmbee_plugin.serving.bundle.tokens`
    users.npy                   (U + 1,) records: id vector, pooled neighbours, peers, reach list, history; row 0 is
                                that of an unknown user
    authors/<field>.npy         (A + 1, ·) the authors' tables; for live data also the other inputs of the encoder
    encoded/{top,views}.npy     (A + 1, ·) static items, encoded
    windows/                    live authors at the end of training: starts, ends (A + 1, L), <modality>.npy
                                (A + 1, L, F, D) as stored, <modality>.present.npy (A + 1, L)
    moments/<modality>.npy      (2, D) mean and deviation that standardise live segments
    golden.json                 requests with the logits of the adapter's own model
    steps/                      if asked for: rows of the graphs to walk, see `mmbee_plugin.serving.bundle.topology`
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.named import module_name
from mmbee_plugin.serving.bundle.golden import write_golden
from mmbee_plugin.serving.bundle.manifest import write_manifest
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.sides import kept_fields
from mmbee_plugin.serving.bundle.source import Source
from mmbee_plugin.serving.bundle.tokens import tokens_hash, write_tokens
from mmbee_plugin.serving.bundle.topology import ENTRY, add_topology

CHUNK = 4096
"""users or authors processed at once"""
STATIC_FIELDS = ("author", "category")
"""author fields that a request reads besides the encoded authors"""


def build_bundle(
    source: Source,
    shelf: Shelf,
    show: Callable[[str], None] = lambda stage: None,
    snapshot: Snapshot | None = None,
    on_air: float | None = None,
) -> str:
    """Writes a bundle to the shelf, unpublished, and returns its id.

    Args:
        show: called with each stage's name as it starts.
        snapshot: that the model was trained with, whose topology the bundle is to have; None: without.
        on_air: of the bundle's `LiveContent`; for static items nothing reads it.

    Raises:
        InputError: it cannot be written, another process writes bundles there, the snapshot is another one, or segments
            without a length and no ``on_air``.
    """
    pointer = shelf.current()
    try:
        with shelf.writing() as folder, torch.inference_mode():
            show("weights and tokens")
            weights = {name: value.contiguous() for name, value in source.exchange.dense.items()}
            (folder / "dense.safetensors").write_bytes(save(weights))  # save_file ignores the umask
            (folder / "tokens").mkdir()
            write_tokens(folder / "tokens" / "users", source.exchange.users)
            write_tokens(folder / "tokens" / "authors", source.exchange.authors)
            show("users")
            _write_users(source, folder)
            show("authors")
            _write_authors(source, folder)
            if source.live is not None and on_air is None:
                _check_lengths(folder / "windows", source.live.stays)
            entries = _entries(source, on_air)
            if snapshot is not None:
                show("topology")
                entries[ENTRY] = add_topology(snapshot, source, folder)
            show("golden requests")
            write_golden(source, folder / "golden.json")
            show("hashes")
            created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            bundle = write_manifest(folder, entries, created, pointer.bundle if pointer else None)
            shelf.add(folder, bundle)
    except OSError as error:
        raise InputError(f"{shelf.path}: cannot be written ({one_line(error)})") from None
    return bundle


def _entries(source: Source, on_air: float | None) -> dict[str, Any]:
    facts, exchange = source.facts, source.exchange
    live = None
    if source.live is not None:
        kinds = {
            name: {"frames": one.frames, "width": one.width, "dtype": one.dtype}
            for name, one in source.live.modalities.items()
        }
        live = {
            "seconds": source.live.seconds,
            "length": source.live.length,
            "on_air": on_air,
            "modalities": kinds,
        }
    return {
        "model": exchange.settings,
        "tasks": list(source.gtr.tasks),
        "chances": facts.chances,
        "data": {
            "name": facts.name,
            "provenance": facts.provenance,
            "dataset": facts.dataset,
            "snapshot": facts.snapshot,
            "origin": facts.origin,
            "until": facts.until,
            "negatives": facts.negatives,
        },
        "tokens": {
            side: {"count": len(tokens), "sha256": tokens_hash(tokens)}
            for side, tokens in (("users", exchange.users), ("authors", exchange.authors))
        },
        "live": live,
    }


def _write_users(source: Source, folder: Path) -> None:
    longest = source.longest
    lengths = dict.fromkeys(("reach_ids", "reach_weights"), longest.reach)
    lengths |= dict.fromkeys(("peers", "peer_weights"), longest.user_peers)
    records: NDArray | None = None
    for rows in _chunks(len(source.exchange.users)):
        fields = kept_fields(source.users(rows), source.gtr.user_interest, lengths)
        history, length, times = source.histories(rows)
        fields["history"] = history.astype(np.int32) + 1
        fields["history_length"] = length.astype(np.int32)
        if times is not None:
            fields["history_times"] = times
        if records is None:
            dtype = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in sorted(fields.items())])
            records = _opened(folder / "users.npy", dtype, (len(source.exchange.users) + 1,))
            _write_nobody(records, source)
        for name, array in fields.items():
            records[name][rows + 1] = array
    assert records is not None
    records.flush()  # type: ignore[attr-defined]


def _write_nobody(records: NDArray, source: Source) -> None:
    """Fills row 0, the unknown user: zeros (no neighbours, peers, behaviours), padding, the id table's row 0."""
    if "reach_ids" in (records.dtype.names or ()):
        records["reach_ids"][0] = NOBODY
    if "user" in source.exchange.tables and "user" in (records.dtype.names or ()):
        records["user"][0] = source.exchange.tables["user"][0].numpy()


def _write_authors(source: Source, folder: Path) -> None:
    lengths = dict.fromkeys(("peers", "peer_weights"), source.longest.author_peers)
    count = len(source.exchange.authors)
    arrays = _Arrays(folder, count + 1)
    for rows in _chunks(count):
        side = source.authors(rows)
        fields = kept_fields(side, source.gtr.author_interest, lengths)
        if source.live is None:
            fields = {name: fields[name] for name in STATIC_FIELDS if name in fields}
            arrays.put("encoded", rows, _encoded(source, side))
        else:
            arrays.put("windows", rows, _windows(source, rows))
        arrays.put("authors", rows, fields)
    arrays.flush()
    if source.live is not None:
        (folder / "moments").mkdir(exist_ok=True)
        for name, one in source.live.modalities.items():
            np.save(folder / "moments" / f"{module_name(name)}.npy", np.stack([one.mean, one.deviation]))


def _check_lengths(windows: Path, stays: float) -> None:
    """Raises InputError if most segments are moments, as those that stand for a whole room are."""
    starts, ends = (np.load(windows / f"{name}.npy", mmap_mode="r")[1:] for name in ("starts", "ends"))
    there = ~np.isnan(starts)
    moments = int((ends[there] == starts[there]).sum())
    if 2 * moments > there.sum():
        raise InputError(
            f"{moments:,} of {there.sum():,} segments end as they start, so authors would leave the board {stays:g} s "
            "later; say how long they stay: --on-air=SECONDS, in the daily loop daily.on_air"
        )


def _encoded(source: Source, side: AuthorSide) -> dict[str, NDArray]:
    encoded = source.gtr.encode_author(side)
    parts = {"top": encoded.top, "views": encoded.views}
    return {name: part.numpy() for name, part in parts.items() if part is not None}


def _windows(source: Source, rows: NDArray[np.int64]) -> dict[str, NDArray]:
    windows = source.windows(rows)
    fields: dict[str, NDArray] = {"starts": windows.starts, "ends": windows.ends}
    for name, values in windows.values.items():
        fields[module_name(name)] = values
        fields[f"{module_name(name)}.present"] = windows.present[name]
    return fields


class _Arrays:
    """Memory-mapped .npy files filled in chunks of rows, created with the first; row 0 stays zero."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self.opened: dict[str, NDArray] = {}

    def put(self, place: str, rows: NDArray[np.int64], fields: Mapping[str, NDArray]) -> None:
        for name, array in fields.items():
            key = f"{place}/{name}.npy"
            if key not in self.opened:
                (self.folder / place).mkdir(exist_ok=True)
                self.opened[key] = _opened(self.folder / key, array.dtype, (self.rows, *array.shape[1:]))
            self.opened[key][rows + 1] = array

    def flush(self) -> None:
        for array in self.opened.values():
            array.flush()  # type: ignore[attr-defined]


def _opened(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> NDArray:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _chunks(count: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, CHUNK):
        yield np.arange(start, min(start + CHUNK, count))
