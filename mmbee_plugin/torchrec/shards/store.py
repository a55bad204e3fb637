"""Memory-mapped arrays of a shards folder, looked up by row."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmbee_plugin.assembly.settings import HistoryMode
from mmbee_plugin.data.histories import Histories
from mmbee_plugin.data.ragged import NOBODY, ragged
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import brought
from mmbee_plugin.graph.lists import PackedLists, PathLists, keeps_self, rectangular
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.pools import normalised
from mmbee_plugin.graph.snapshot import fold_folder
from mmbee_plugin.torchrec.shards.layout import node_pair, read_description
from mmbee_plugin.torchrec.shards.segments import SegmentStore

Side = Literal["users", "authors"]


class ShardStore:
    """A shards folder, opened read-only; its arrays are memory-mapped.

    Rows are rows of `.user` and `.item`, from 0. A table id is row + 1, or 0, the default row, for users and authors
    without a training row. Node tables always use row + 1.

    Args:
        path: the folder that `mmbee data shards` wrote.
        modalities: those to read, in this order; all by default.
        metapaths: those to read, in this order; all by default.

    Attributes:
        n_users, n_authors: counts; a table has at least one more row.
        labelled: whether rows carry a 0/1 label.
        ordered: whether there is time.
        until: time of the newest training row, in seconds since the data's first interaction; None without time.
        categories: whether authors have categories.
        folds: parts for cross-fitting, 0 for none.
        metapaths: the chosen ones.
        modalities: kind and size of the chosen ones, in order.
        attribute_width: width of `brought`, the chosen dense modalities and all statistics side by side.
        has_reach: whether there are long-walk lists.
        pooled_at: the ``reach_floor`` that lists with visits are made for; None without visits in them.
        live: properties of live data; None for static items.
        segments: the features of live data.
        drawn: (n_authors + 1,) int64, by table id the number of training rows with this author as positive.
        provenance: one line that names the data.
        identity: names the folder's content, whatever its path.

    Raises:
        InputError: no such folder, a file missing or cut, a modality or metapath that is not stored.
    """

    def __init__(
        self,
        path: str | Path,
        modalities: tuple[str, ...] | None = None,
        metapaths: tuple[str, ...] | None = None,
    ) -> None:
        self.path = Path(path)
        self.description = read_description(self.path)
        self.n_users, self.n_authors = self.description.users, self.description.authors
        self.labelled, self.ordered = self.description.labelled, self.description.ordered
        self.until, self.categories = self.description.until, self.description.categories
        self.folds, self.has_reach = self.description.folds, self.description.reach
        self.pooled_at = self.description.pooled_at
        self.provenance = self.description.provenance
        self.identity = self.description.identity
        self.metapaths = self._chosen("metapath", metapaths, self.description.metapaths)
        stored = self.description.modalities
        self.modalities = {name: stored[name] for name in self._chosen("modality", modalities, tuple(stored))}
        columns = self.description.columns(self.modalities)
        ends = {Metapath.parse(name).end for name in self.metapaths}
        reads_any = any(one.end in ends for one in columns.values())
        self._columns = {name: one.end for name, one in columns.items()} if reads_any else {}
        self.attribute_width = sum(columns[name].width for name in self._columns)
        self._open = cache(self._mapped)
        self._histories = Histories.stored(
            self._open("histories/indptr"),
            self._open("histories/items"),
            self._open("histories/times") if self.ordered else None,
            self._open("histories/repeats"),
        )
        self.drawn = self._open("authors/drawn")
        self.live = self.description.live
        self.segments = SegmentStore(self._open)

    def user_ids(self, rows: NDArray) -> NDArray[np.int64]:
        """Table ids (b,) of user rows (b,)."""
        return np.where(self._open("users/known")[rows], rows + 1, 0).astype(np.int64)

    def author_ids(self, rows: NDArray) -> NDArray[np.int64]:
        """Table ids of author rows, in their shape."""
        return np.where(self._open("authors/known")[rows], rows + 1, 0).astype(np.int64)

    def keys(self, side: Side) -> NDArray[np.uint64]:
        """(n,) the 64-bit hash of each user's or author's token, memory-mapped."""
        return self._open(f"{side}/keys")

    def author_seen(self, rows: NDArray) -> NDArray[np.bool_]:
        """(b,) whether author rows (b,) have a training positive, of live data any training row; others read the
        default queries."""
        return self._open("authors/seen")[rows]

    def category(self, rows: NDArray) -> NDArray[np.int64]:
        """Categories of author rows, in their shape, 0 where unknown; only for data with `categories`."""
        return self._open("authors/category")[rows]

    def history_mode(self, asked: HistoryMode | None) -> HistoryMode:
        """History mode of training rows: as asked; by default ``daily`` for live data, ``prefix`` for data with time or
        a declared order, else ``others``.

        Raises:
            InputError: daily histories of data without time.
        """
        if asked == "daily" and not self.ordered:
            raise InputError(f"{self.path}: no time, so no histories by day; set data.history to another")
        if asked is not None:
            return asked
        in_order = self.ordered or self.description.declared
        return "daily" if self.live is not None else "prefix" if in_order else "others"

    def history_lengths(self, users: NDArray) -> NDArray[np.int64]:
        """(b,) lengths of the whole histories of user rows (b,)."""
        return np.diff(self._histories.indptr[np.stack([users, users + 1])], axis=0)[0]

    @property
    def longest_history(self) -> int:
        """Length of the longest history."""
        return int(np.diff(self._histories.indptr).max())

    @property
    def longest_reach(self) -> int:
        """Length of the longest long-walk list."""
        return int(self._packed("reach", ("reach",)).along("reach").lengths.max())

    def history(
        self,
        users: NDArray,
        positions: NDArray | None,
        length: int,
        targets: NDArray | None = None,
        mode: HistoryMode | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64] | None]:
        """The newest `length` behaviours of user rows (b,), oldest first.

        Args:
            users: (b,) user rows.
            positions: (b,) of the training rows; None for whole histories, as in evaluation.
            length: behaviours kept.
            targets: (b,) author rows to leave out, required for labelled rows, since a label 0 has no entry; by default
                the entries at `positions`.
            mode: ``prefix``: before the position, without the target; ``others``: all without the target; ``daily``:
                before the position, earlier entries of the target's author included; by default as `history_mode`.

        Returns:
            author rows (b, length) padded on the right with 0, lengths (b,), and seconds since the data's first
            interaction (b, length), None without time.
        """
        mode = self.history_mode(mode)
        if positions is None:
            found = self._histories.all(users, length)
        elif mode == "daily":
            found = self._histories.up_to(users, positions, length)
        elif mode == "prefix":
            found = self._histories.before(users, positions, length, targets)
        else:
            found = self._histories.others(users, positions, length, targets)
        rows, lengths, times = found
        return rows.numpy(), lengths.numpy(), None if times is None else times.numpy()

    def longest(
        self, users: NDArray, positions: NDArray, length: int, mode: HistoryMode | None = None
    ) -> int:
        """Upper bound (at least 1) of a batch's history lengths, without reading them; arguments as ``history``."""
        entries = self.history_lengths(users) if self.history_mode(mode) == "others" else positions
        return max(1, min(length, int(entries.max(initial=0))))

    def known(self, users: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All training positives of user rows (b,): place in the batch and author row, both (nnz,)."""
        return self._histories.items_of(users)

    def lack(self, users: NDArray, authors: NDArray) -> NDArray[np.bool_]:
        """(b, c) whether author rows (c,), distinct and ascending, are no training positives of user rows (b,)."""
        return self._histories.lack(users, authors)

    def neighbours(
        self, path: str, rows: NDArray, fold: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Neighbours of nodes (b,) along a metapath, from the graph without `fold`'s edges: lengths (b,), node
        rows and weights, both (nnz,), each node's weights summing to 1."""
        (found,) = normalised([self.lists(path, fold).take(rows)])
        return np.diff(found.indptr), found.ids.astype(np.int64), found.weights

    def lists(self, path: str, fold: int | None = None) -> PathLists:
        """All nodes' neighbours along a metapath with their scores, memory-mapped; ``fold`` as in ``neighbours``."""
        stored, side = self.description.metapaths, path[0]
        paths = [Metapath.parse(name) for name in stored if name[0] == side]
        with_self = tuple(keeps_self(one, self.description.exclude_own) for one in paths)
        names = tuple(one.name for one in paths)
        return self._packed(f"{fold_folder(fold)}lists/{side}", names, with_self).along(path)

    def brought(
        self, lists: Neighbours, end: str, rows: NDArray, fold: int | None = None, stored: str | None = None
    ) -> NDArray[np.float32] | None:
        """(b, attribute_width) weighted sums of the neighbours' columns; None if that type has no column
        (:func:`~mmbee_plugin.graph.attributes.brought`).

        Args:
            lists, end: lists of nodes (b,), and the type of the neighbours, ``u`` or ``a``.
            rows: the nodes.
            fold: as in ``neighbours``.
            stored: metapath whose lists these are as stored; its stored means are read.
        """

        def own(name: str) -> NDArray:
            within = f"{fold_folder(fold)}attributes/own/{name}"
            return self._open(within if self.description.has(within) else f"attributes/own/{name}")

        def mean(name: str) -> NDArray:
            return self._open(f"{fold_folder(fold)}attributes/{stored}/{name}")[rows]

        return brought(lists, end, self._columns, own, None if stored is None else mean)

    def reach(self, users: NDArray, fold: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Long-walk lists of user rows (b,): author rows, ascending and padded with NOBODY, and weights, padded with
        0, both (b, K) with K the longest of these lists, at least 1."""
        lists = self._packed(f"{fold_folder(fold)}reach", ("reach",)).along("reach")
        starts, lengths = lists.bounds(users)
        longest = max(1, int(lengths.max(initial=0)))
        return rectangular(lists.packed.entries, starts, lengths, longest, NOBODY)

    def dense(self, modality: str, rows: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Standardised vectors (b, D) of author rows (b,), zero where absent, and presence (b,)."""
        return (
            self._open(f"features/{modality}/values")[rows],
            self._open(f"features/{modality}/present")[rows],
        )

    def bag(
        self, modality: str, rows: NDArray
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Word bags of author rows (b,): lengths (b,), word ids (nnz,), presence (b,)."""
        folder = f"features/{modality}"
        lengths, entry = self._ragged(self._open(f"{folder}/indptr"), rows)
        words = self._open(f"{folder}/words")[entry].astype(np.int64)
        return lengths, words, self._open(f"{folder}/present")[rows]

    def nodes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Trained node vectors (n_users, d) and (n_authors, d), memory-mapped; None if there are none.

        Raises:
            InputError: as `node_pair`; files of another type or shape.
        """
        files = node_pair(self.path)
        if files is None:
            return None
        users, authors = (self._mapped(file.stem) for file in files)
        counts = self.n_users, self.n_authors
        for file, table, count in zip(files, (users, authors), counts, strict=True):
            if table.shape != (count, users.shape[-1]) or table.dtype != np.float32:
                raise InputError(
                    f"{file}: {table.dtype} {table.shape}, expected float32 with {count} rows, as wide as the "
                    "other table"
                )
        return users, authors

    def user_tokens(self) -> list[str]:
        """The users' tokens, by row."""
        return self._tokens("users.parquet")

    def author_tokens(self) -> list[str]:
        """The authors' tokens, by row."""
        return self._tokens("authors.parquet")

    def _chosen(
        self, kind: str, names: tuple[str, ...] | None, available: tuple[str, ...]
    ) -> tuple[str, ...]:
        for name in names or ():
            if name not in available:
                raise InputError(f"{self.path}: no {kind} {name!r}; it has: {', '.join(available) or 'none'}")
        return available if names is None else names

    def _packed(
        self, folder: str, paths: tuple[str, ...], with_self: tuple[bool, ...] = (False,)
    ) -> PackedLists:
        rows = self._open(f"{folder}/rows") if self.description.has(f"{folder}/rows") else None
        arrays = self._open(f"{folder}/indptr"), self._open(f"{folder}/entries")
        return PackedLists(paths, *arrays, rows, with_self, self.description.top_k)

    def _ragged(self, indptr: NDArray, rows: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        starts, stops = indptr[rows], indptr[rows + 1]
        return stops - starts, ragged(starts, stops)[1]

    def _tokens(self, name: str) -> list[str]:
        return pq.read_table(self.path / name)["token"].to_pylist()

    def _mapped(self, name: str) -> NDArray:
        file = self.path / f"{name}.npy"
        try:
            return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: not an array ({error}); write the shards again") from None
