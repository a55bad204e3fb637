"""Opens and validates a dataset folder `datasets/<name>/`: atomic files, features and `dataset.json`."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmbee_plugin.data.categories import read_categories
from mmbee_plugin.data.description import READ_AS, check_description, read_description
from mmbee_plugin.data.features import BagFeatures, DenseFeatures, open_bag, open_dense
from mmbee_plugin.data.hashing import current_hash
from mmbee_plugin.data.live import ENDED, LiveRows, LiveSettings, check_samples, read_live_rows
from mmbee_plugin.data.order import Order, find_order
from mmbee_plugin.data.recbole_files import (
    ITEM,
    TIMESTAMP,
    USER,
    InteractionTable,
    field_types,
    first_bad_row,
    read_interaction_table,
    read_tokens,
)
from mmbee_plugin.data.unread import modality_files, unread_features
from mmbee_plugin.data.visits import Visits, read_visits
from mmbee_plugin.data.writer import SPLITS, Interactions
from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    from mmbee_plugin.data.segments import SegmentFeatures


class DatasetFolder:
    """A dataset folder whose files are read on first use.

    `<name>.inter` alone suffices: the kind is then "real", the source "unknown", and users and items are numbered by
    first appearance.

    Args:
        path: the folder; its last part is the dataset's name.

    Attributes:
        name, kind, source, notes, warnings, get_real: as in `dataset.json`.
        order: order of the rows.
        ordered: whether rows are ordered by time.
        splits: ("train", "valid", "test") for a pre-split folder, ("train", "valid") for the samples of a day, else
            None.
        live: how live data were cut into samples; None for static items.
        tasks: labels of live rows besides the gift.

    Raises:
        InputError: no such folder, missing or contradictory `.inter` files, a bad `dataset.json` or header.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = Path(os.path.abspath(self.path)).name
        if not self.path.is_dir():
            raise InputError(f"{self.path}: no such dataset folder")
        self._description = read_description(self.path / "dataset.json")
        # Samples of a day have no test part.
        parts = SPLITS[:2] if self._description.get("splits") == list(SPLITS[:2]) else SPLITS
        split_files = {split: self._file(f".{split}.inter") for split in parts}
        present = [split for split, file in split_files.items() if file.exists()]
        self.splits: tuple[str, ...] | None = None
        if self._file(".inter").exists():
            if present:
                raise InputError(
                    f"{self._file('.inter')}: stands beside {split_files[present[0]].name}; keep one form"
                )
            self._tables = {"": self._file(".inter")}
        elif len(present) == len(parts):
            self.splits, self._tables = parts, split_files
        else:
            missing = ", ".join(split_files[split].name for split in parts if split not in present)
            raise InputError(
                f"{self.path}: neither {self.name}.inter nor a full pre-split set; missing: {missing}"
            )
        check_description(self.path / "dataset.json", self._description, self.splits or ())
        self.live = LiveSettings.of(self._description, self.path / "dataset.json")
        if self.live is not None and self.splits is None:
            raise InputError(
                f"{self._tables['']}: live data come split by time, as {self.name}.train.inter and so on"
            )
        self.tasks: tuple[str, ...] = self.live.tasks if self.live else ()
        self.kind: str = self._description.get("kind", "real")
        self.source: str = self._description.get("source", "unknown")
        self.order: Order = find_order(self._tables, self._description.get("ordered") is True)
        self.ordered: bool = self.order.by == "time"
        self.notes: list[str] = self._description.get("notes", [])
        self.warnings: list[str] = self._description.get("warnings", [])
        self.get_real: str | None = self._description.get("get_real")
        self._features: dict[str, DenseFeatures | BagFeatures] = {}

    @cached_property
    def user_tokens(self) -> list[str]:
        """User tokens in row order: of `.user`, else by first appearance."""
        return self._tokens(".user", USER)

    @cached_property
    def item_tokens(self) -> list[str]:
        """Item tokens in row order: of `.item`, else by first appearance."""
        return self._tokens(".item", ITEM)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of users, items and interactions; for a pre-split folder also of train, valid and test rows."""
        if "counts" in self._description:
            return self._description["counts"]
        sizes = {split: len(read_interaction_table(table)) for split, table in self._tables.items()}
        counts = {
            "users": len(self.user_tokens),
            "items": len(self.item_tokens),
            "interactions": sum(sizes.values()),
        }
        return counts | {split: size for split, size in sizes.items() if split}

    @cached_property
    def modalities(self) -> dict[str, dict[str, Any]]:
        """Per modality: `file`, `kind` ("dense" or "bag"), `width` or `vocabulary`, number of items `missing` it."""
        if "modalities" in self._description:
            return self._description["modalities"]
        found: dict[str, dict[str, Any]] = {}
        for modality, path in modality_files(self.path).items():
            features = self._open(modality, path)
            size = (
                {"kind": "bag", "vocabulary": features.vocabulary}
                if isinstance(features, BagFeatures)
                else {"kind": "dense", "width": int(features.values.shape[1])}
            )
            found[modality] = {"file": path.name, **size, "missing": int((~features.present).sum())}
        return found

    @property
    def unread(self) -> list[str]:
        """One line per file that looks like features but is not read."""
        listed = self._description.get("modalities")
        described = None if listed is None else [entry["file"] for entry in listed.values()]
        return unread_features(
            self.path, self._file(".item" if self.live is None else ".segment").name, described
        )

    @cached_property
    def origin(self) -> float:
        """Zero of the data's clock, from which days are counted, in seconds since 1970: as in `dataset.json`, else the
        earliest interaction; 0 for data without time."""
        if "origin" in self._description:
            return float(self._description["origin"])
        stamps = self.interactions().timestamps if self.ordered else None
        return 0.0 if stamps is None else float(stamps.min())

    @property
    def read_as(self) -> dict[str, Any]:
        """What `dataset.json` says of how the files are read: with `hash`, all that a result depends on."""
        return {name: self._description[name] for name in READ_AS if name in self._description}

    @cached_property
    def hash(self) -> str:
        """sha256 over the present content files; `dataset.json` has that of the files as written."""
        return current_hash(self.path)

    @property
    def changed(self) -> bool:
        """Whether a content file was added, removed or replaced since `dataset.json` was written."""
        return self._description.get("hash", self.hash) != self.hash

    @cached_property
    def segments(self) -> SegmentFeatures:
        """Segments of a live dataset; raises InputError for static items or bad segments."""
        from mmbee_plugin.data.segments import SegmentFeatures  # imports torch

        if self.live is None:
            raise InputError(f"{self.path}: has no segments; its content is that of the items")
        return SegmentFeatures(
            self.path, self.item_tokens, self.modalities, self.live.count, self.live.seconds
        )

    @cached_property
    def visits(self) -> Visits | None:
        """Visits before the end of training, with times as in the files; None without. Raises as `read_visits`."""
        return read_visits(self.path, len(self.user_tokens), len(self.item_tokens))

    def categories(self, field: str | None = None) -> np.ndarray | None:
        """(n_items,) category numbers by column `field` of `.item`, None without categories; see `read_categories`."""
        return read_categories(self._file(".item"), len(self.item_tokens), field)

    def features(self, modality: str) -> DenseFeatures | BagFeatures:
        """Item features of a modality, in item rows; dense ones memory-mapped.

        Raises InputError for an unknown modality, for live data (see `segments`), or as `open_dense` and `open_bag`.
        """
        if self.live is not None:
            raise InputError(f"{self.path}: {modality} is a modality of segments, not of items")
        if modality not in self.modalities:
            known = ", ".join(self.modalities) or "none"
            raise InputError(f"{self.path}: no modality {modality!r}; it has: {known}")
        return self._open(modality, self.path / self.modalities[modality]["file"])

    def field_types(self, ending: str) -> dict[str, str]:
        """Name to type of the columns of `<name>.<ending>`; {} without the file.

        "inter" covers all three files of a pre-split folder. Raises InputError for a bad header.
        """
        files = list(self._tables.values()) if ending == "inter" else [self._file(f".{ending}")]
        found = [field_types(file) for file in files if file.exists()]
        return {name: kind for types in found for name, kind in types.items()}

    def check_part(self, split: str) -> None:
        """Raises InputError if the data come split and have no such part, as the samples of a day have no test."""
        if self.splits is not None and split not in self.splits:
            raise self._without(split)

    def _without(self, split: str) -> InputError:
        return InputError(
            f"{self.path}: no split {split!r}; it has: {', '.join(self.splits or ()) or 'none'}"
        )

    def interactions(self, split: str | None = None) -> Interactions:
        """User and item rows of one split, or (None) of the whole folder, in file order.

        Raises InputError for an unknown split, an unparsable row, or an unknown user or item; names file, line and
        value.
        """
        if split is not None and split not in self._tables:
            raise self._without(split)
        parts = [self._interactions(file) for name, file in self._tables.items() if split in (None, name)]
        if len(parts) == 1:
            return parts[0]
        ratings = [part.ratings for part in parts if part.ratings is not None]
        times = [part.timestamps for part in parts if part.timestamps is not None]
        return Interactions(
            np.concatenate([part.users for part in parts]),
            np.concatenate([part.items for part in parts]),
            np.concatenate(ratings) if len(ratings) == len(parts) else None,
            np.concatenate(times) if len(times) == len(parts) else None,
        )

    def rows(self, split: str) -> LiveRows:
        """Labels, amounts, segments and tasks of a split's live rows, in file order.

        Raises InputError as `read_live_rows`, for an unknown split, or for static items.
        """
        if self.live is None:
            raise InputError(f"{self.path}: no live data; dataset.json has no entry 'segments'")
        self.check_part(split)
        return read_live_rows(self._tables[split], self.live)

    def validate_interactions(self) -> None:
        """Checks every `.inter` row; raises InputError for a bad row, an empty split, or counts that are outdated."""
        for split, file in self._tables.items():
            interactions = self._interactions(file)
            size = len(interactions)
            if size < (1 if split else len(SPLITS)):
                raise InputError(f"{file}: {size} interactions; too few to train, validate and test on")
            stated = self.counts[split or "interactions"]
            if size != stated:
                raise InputError(
                    f"{file}: {size:,} rows, dataset.json counts {stated:,}; convert the data again"
                )
            if self.live is not None:
                if interactions.timestamps is None:
                    raise InputError(f"{file}: {self.order.words}; live data need {TIMESTAMP}")
                times = interactions.timestamps
                check_samples(
                    file, self.rows(split), interactions.items, times, self.segments, self.live.known
                )

    @property
    def files(self) -> list[str]:
        """Names of the `.inter` files."""
        return [file.name for file in self._tables.values()]

    def provenance(self) -> str:
        """One line that identifies the data; printed with every result."""
        counts = self.counts
        kind = {"sample": "SAMPLE, generated: not the real data", "simulated": "SIMULATED"}.get(
            self.kind, self.kind
        )
        parts = "".join(f", {split} {counts[split]:,}" for split in self.splits or ())
        time = self.order.words
        if self.live is not None:
            length = "any length" if self.live.varying else f"{self.live.seconds} s"
            time = f"{self.live.count:,} segments of {length}"
            time += ", known once ended" if self.live.known == ENDED else ""
        return (
            f"{self.name} ({kind}): {counts['users']:,} users x {counts['items']:,} items, "
            f"{counts['interactions']:,} interactions{parts}; {time}; source: {self.source}"
            f"{'; CHANGED since dataset.json was written' if self.changed else ''}"
        )

    def _file(self, suffix: str) -> Path:
        return self.path / f"{self.name}{suffix}"

    def _tokens(self, suffix: str, column: str) -> list[str]:
        file = self._file(suffix)
        if file.exists():
            tokens = read_tokens(file, column)
        else:
            seen: dict[str, None] = {}
            for table in map(read_interaction_table, self._tables.values()):
                codes = table.users if column == USER else table.items
                seen |= dict.fromkeys(codes.categories[pd.unique(codes.codes)].tolist())
            tokens = list(seen)
        stated = self._description.get("counts", {}).get("users" if column == USER else "items", len(tokens))
        if len(tokens) != stated:
            raise InputError(
                f"{file}: {len(tokens):,} rows, dataset.json counts {stated:,}; convert the data again"
            )
        return tokens

    def _open(self, modality: str, path: Path) -> DenseFeatures | BagFeatures:
        if modality not in self._features:
            if not self._file(".item").exists():
                raise InputError(
                    f"{path}: needs {self.name}.item beside it, which says which row is which item"
                )
            n_items = len(self.item_tokens)
            self._features[modality] = (open_bag if path.suffix == ".npz" else open_dense)(path, n_items)
        return self._features[modality]

    def _interactions(self, file: Path) -> Interactions:
        table: InteractionTable = read_interaction_table(file)
        columns = {USER: (table.users, self.user_tokens), ITEM: (table.items, self.item_tokens)}
        rows = {}
        for column, (codes, tokens) in columns.items():
            of_category = pd.Index(tokens, dtype=object).get_indexer(codes.categories.astype(object))
            if (of_category < 0).any():
                known = {USER: set(self.user_tokens), ITEM: set(self.item_tokens)}
                raise first_bad_row(file, known) or InputError(f"{file}: a {column} is unknown")
            rows[column] = of_category[codes.codes].astype(np.int64)
        return Interactions(rows[USER], rows[ITEM], table.ratings, table.timestamps if self.ordered else None)
