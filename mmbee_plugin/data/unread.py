"""Finds the modality files of a folder, and files that look like features but are not read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mmbee_plugin.data.features import PRESENT, present_path
from mmbee_plugin.data.visits import VISITS
from mmbee_plugin.errors import InputError

PACKED = frozenset({".gz", ".zip", ".xz", ".bz2", ".zst", ".7z", ".tar", ".tgz", ".rar"})
ARRAYS = frozenset({".npy", ".npz"})
DATA = PACKED | ARRAYS | {
    *(".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".pkl", ".pickle", ".joblib", ".h5", ".hdf5", ".mat"),
    *(".parquet", ".feather", ".arrow", ".csv", ".tsv", ".jsonl", ".lmdb"),
}  # fmt: skip
"""lower-case suffixes of files that may hold features"""


def check_modality(name: str, where: Path | str) -> None:
    """Raises InputError for a modality name whose file would be hidden, in another folder, or a presence file."""
    if not name or name.startswith(".") or "/" in name or name.endswith(PRESENT):
        raise InputError(
            f"{where}: modality {name!r}; a name that is not empty, begins with no dot, holds no / and does not end "
            f"in {PRESENT!r} is needed"
        )


def modality_files(folder: Path) -> dict[str, Path]:
    """Modality to its `.npy` or `.npz` file, by name; without hidden and presence files.

    Raises InputError for a modality with both.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in ARRAYS or path.name.startswith(".") or _tells_presence(path):
            continue
        if path.stem in found:
            raise InputError(f"{path}: stands beside {found[path.stem].name}; a modality has one file")
        found[path.stem] = path
    return found


def unread_features(folder: Path, items: str, described: Iterable[str] | None) -> list[str]:
    """One line, with a remedy, per file that looks like features but is not read.

    Args:
        folder: a dataset folder.
        items: name of its item or segment file.
        described: feature files listed in `dataset.json`; None without a list, when every array is a modality.
    """
    arrays = (path for path in folder.iterdir() if path.suffix in ARRAYS and not _tells_presence(path))
    known = {path.name for path in arrays} if described is None else set(described)
    known |= {VISITS, *(present_path(Path(name)).name for name in known)}
    lines = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in DATA and not path.name.startswith(".") and path.name not in known:
            lines.append(
                f"{path.name} lies in the folder and is not read: {_remedy(path, items, described is not None)}"
            )
    return lines


def _tells_presence(path: Path) -> bool:
    """Whether the name is that of a presence file, `<modality>.present.npy`."""
    return path.name.endswith(f"{PRESENT}.npy")


def _remedy(path: Path, items: str, described: bool) -> str:
    if _tells_presence(path):
        owner = path.name.removesuffix(f"{PRESENT}.npy")
        return f"it would say which items have {owner}.npy or .npz, which is not there; features need another name"
    if path.suffix in ARRAYS and described:
        return "dataset.json lists the modalities, and not this one; take its entry 'modalities' out"
    if path.suffix.lower() in PACKED:
        return "unpack it"
    name = path.with_suffix(".npy").name
    return f"save it as {name}, (rows, width) float32, row r for row r of {items}"
