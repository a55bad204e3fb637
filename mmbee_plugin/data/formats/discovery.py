"""Finds the files of a public data set by their usual names, in neighbouring folders too, and describes the finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from mmbee_plugin.data.pickles import read_bytes
from mmbee_plugin.data.unread import DATA
from mmbee_plugin.errors import InputError

BELOW = ("feat", "feats", "feature", "features", "*-core")
"""sub-folders searched for features after the folder itself; last comes its parent, the place beside `5-core`"""
ITEM_LISTS = ("i_id_mapping.csv", "item_list.txt")
"""item numberings of MMRec, LATTICE and others: a header, then lines of token and number"""


@dataclass
class Found:
    """Feature files found for a folder.

    Attributes:
        source: the folder.
        files: file of each modality found.
        missing: names searched for, of each modality not found.
    """

    source: Path
    files: dict[str, Path] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def note(self) -> str:
        """One line: the file of each modality, and the modalities not found."""
        read = [f"{modality} is {self._shown(path)}" for modality, path in self.files.items()]
        absent = [f"no {modality} ({names})" for modality, names in self.missing.items()]
        return f"features: {', '.join([*read, *absent])}"

    def _shown(self, path: Path) -> str:
        above = path.parent != self.source and not path.is_relative_to(self.source)
        return f"{path.name} of the folder above" if above else str(path.relative_to(self.source))


def one_file(folder: Path, what: str, names: Sequence[str]) -> Path | None:
    """The file in `folder` that matches one of the `fnmatch` patterns `names`, or None.

    Raises InputError for two matches; `what` names the kind of file in the message.
    """
    found = [path for path in _listing(folder) if any(fnmatchcase(path.name, name) for name in names)]
    if len(found) > 1:
        raise InputError(f"{found[1]}: stands beside {found[0].name}; keep one {what} file")
    return found[0] if found else None


def find_features(source: Path, stems: Mapping[str, Sequence[str]], suffixes: Sequence[str]) -> Found:
    """Searches for each modality in `source`, its sub-folders `BELOW` and its parent, in this order.

    Args:
        stems: per modality, patterns of its file name without suffix.
        suffixes: readable suffixes.

    Raises:
        InputError: two files of one modality; or only a file that is packed or has another suffix.
    """
    source = source.absolute()
    below = sorted(path for name in BELOW for path in source.glob(name) if path.is_dir())
    found = Found(source)
    for modality, named in stems.items():
        names = [f"{stem}{suffix}" for stem in named for suffix in suffixes]
        for folder in (source, *below, source.parent):
            path = one_file(folder, modality, names)
            if path is not None:
                found.files[modality] = path
                break
        else:
            for folder in (source, *below):
                _refuse_lookalike(folder, named, suffixes)
            found.missing[modality] = ", ".join(names)
    return found


def unread_note(source: Path, read: Iterable[Path]) -> list[str]:
    """A note naming the data files of `source` that are not read; [] without any."""
    known = {path.absolute() for path in read} | {source.absolute() / name for name in ITEM_LISTS}
    left = [
        path.name
        for path in _listing(source.absolute())
        if path.suffix.lower() in DATA and not path.name.startswith(".") and path not in known
    ]
    return [f"not read: {', '.join(left)}"] if left else []


def pairing_note(found: Found, n_items: int) -> list[str]:
    """A note on whether row r of the features is known to be item r of the interactions; [] without features.

    Releases of the same name and size may number items differently, as MMRec's and MMSSL's baby do.

    Raises:
        InputError: an item list of another size, or one beside the features that differs from the interactions'.
    """
    folders = sorted({path.parent for path in found.files.values()})
    if not folders:
        return []
    lists = {folder: path for folder in (found.source, *folders) if (path := _item_list(folder)) is not None}
    tokens = {folder: _read_item_list(path, n_items) for folder, path in lists.items()}
    for folder in folders:
        if found.source in tokens and folder in tokens and tokens[folder] != tokens[found.source]:
            number = next(n for n in range(n_items) if tokens[folder][n] != tokens[found.source][n])
            raise InputError(
                f"{lists[folder]}: item {number} is {tokens[folder][number]!r}, in {lists[found.source]} it is "
                f"{tokens[found.source][number]!r}; these features belong to other interactions"
            )
    elsewhere = [folder for folder in folders if folder != found.source]
    if elsewhere and found.source in tokens and all(folder in tokens for folder in elsewhere):
        return ["the lists of items beside the interactions and beside the features are the same"]
    known = f"; {lists[found.source].name} numbers as many items" if found.source in lists else ""
    return [
        f"that row r of the features is item r could not be checked{known}: take both from one download, since sets of "
        "one name and size number items differently"
    ]


def _listing(folder: Path) -> list[Path]:
    """Content of a folder, by name; [] if it cannot be listed, which may happen for a parent."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _refuse_lookalike(folder: Path, stems: Sequence[str], suffixes: Sequence[str]) -> None:
    for path in _listing(folder):
        named = any(fnmatchcase(path.name.lower(), f"{stem.lower()}.*") for stem in stems)
        if named and path.suffix.lower() in DATA:
            stem = path.name.partition(".")[0]
            raise InputError(
                f"{path}: is not read; unpack it, or save it as {stem}{suffixes[0]}, (items, width) floats"
            )


def _item_list(folder: Path) -> Path | None:
    return next((folder / name for name in ITEM_LISTS if (folder / name).is_file()), None)


def _read_item_list(path: Path, n_items: int) -> list[str]:
    """Tokens of items 0 .. n_items - 1. Raises InputError for other numbers, a bad line, or text that is not UTF-8."""
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()[1:]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, byte {error.start}: not UTF-8 text") from None
    tokens: dict[int, str] = {}
    for number, line in enumerate(lines, start=2):
        fields = line.replace(",", " ").split()
        if not fields:
            continue
        if len(fields) < 2 or not (fields[1].isascii() and fields[1].isdigit()):
            raise InputError(
                f"{path}, line {number}: {line[:80]!r}; an item and its number from 0 are needed"
            )
        tokens[int(fields[1])] = fields[0]
    if tokens.keys() != set(range(n_items)):
        raise InputError(
            f"{path}: lists {len(tokens):,} items, the data have {n_items:,}, numbered from 0; "
            "they are of different sets"
        )
    return [tokens[number] for number in range(n_items)]
