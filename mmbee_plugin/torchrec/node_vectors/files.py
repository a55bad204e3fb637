"""Writes sharded node tables into two array files, on the first process, piece by piece."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.distributed._shard.sharded_tensor import ShardedTensor

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import write_json
from mmbee_plugin.torchrec.processes.launch import Process
from mmbee_plugin.torchrec.shards.layout import NODE_FILES, NODE_PAIR

PIECE = 65_536
"""rows sent at once"""


def write_nodes(folder: Path, tables: list[ShardedTensor], process: Process) -> tuple[Path, Path]:
    """Replaces a shards folder's node vectors, both tables atomically; a collective call.

    Args:
        folder: the shards folder; the first process writes there.
        tables: the users' (n_users, d) and the authors' (n_authors, d).
        process: which process this is.

    Returns:
        the two files, on the first process.

    Raises:
        InputError: on the first process, if the folder cannot be written, such as on a full disk.
    """
    first = process.rank == 0
    files = [
        folder / f"{Path(name).stem}-{os.getpid()}-{time.time_ns():x}.npy" for name in NODE_FILES.values()
    ]
    try:
        for table, file in zip(tables, files, strict=True):
            gather_rows(table, _created(file, tuple(table.shape)) if first else None, process)
        if first:
            publish_pair(folder, *(file.name for file in files))
    except OSError as error:
        for file in files:
            file.unlink(missing_ok=True)
        raise InputError(f"{folder}: cannot write the node vectors ({one_line(error)})") from None
    dist.barrier()
    return files[0], files[1]


def publish_pair(folder: Path, users: str, authors: str) -> None:
    """Makes two files of a shards folder its node vectors in one atomic write; removes all others."""
    write_json(folder / NODE_PAIR, {"u": users, "a": authors})
    for name in NODE_FILES.values():
        for file in folder.glob(f"{Path(name).stem}*.npy"):  # a killed run's too
            if file.name not in (users, authors):
                file.unlink()


def gather_rows(table: ShardedTensor, rows: NDArray[np.float32] | None, process: Process) -> None:
    """Copies a sharded table (n, d) to the first process, at most `PIECE` rows at once; a collective call.

    Args:
        table: the table.
        rows: (n, d) destination on the first process; None on the others.
        process: which process this is.
    """
    own = {tuple(shard.metadata.shard_offsets): shard.tensor for shard in table.local_shards()}
    for shard in table.metadata().shards_metadata:
        row, column = shard.shard_offsets
        height, width = shard.shard_sizes
        owner = shard.placement.rank() if shard.placement is not None else 0
        for first in range(0, height, PIECE):
            stop = min(first + PIECE, height)
            piece = None
            if process.rank == owner:
                piece = own[row, column][first:stop].detach().to(process.device).contiguous()
                if owner:
                    dist.send(piece, 0)
            elif rows is not None:
                piece = torch.empty(stop - first, width, device=process.device)
                dist.recv(piece, owner)
            if rows is not None and piece is not None:
                rows[row + first : row + stop, column : column + width] = piece.cpu().numpy()


def _created(file: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Creates a memory-mapped array file (n, d) of float32 and reserves its disk space."""
    rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    with open(file, "rb+") as taken:
        # On a full disk, writing to unallocated pages of a mapped file would kill the process (SIGBUS).
        os.posix_fallocate(taken.fileno(), 0, file.stat().st_size)
    return rows
