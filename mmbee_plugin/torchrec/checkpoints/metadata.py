"""Reads torch.distributed.checkpoint's folders without running code from them."""

from __future__ import annotations

import pickle
from enum import Enum
from typing import Any

from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata

from mmbee_plugin.errors import InputError, one_line

PLAIN = {
    "collections": ("OrderedDict",),
    "pathlib": ("Path", "PosixPath", "WindowsPath"),
    "torch": ("Size", "bfloat16", "bool", "float16", "float32", "float64", "int32", "int64", "uint8"),
    "torch.serialization": ("_get_layout",),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.distributed.checkpoint.metadata": (
        "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties",
        "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
    ),
}  # fmt: skip
"""Names allowed in a checkpoint's pickled metadata, by module."""
MOVED = {"pathlib._local": "pathlib"}
"""module in files that Python 3.13 wrote -> where every version has its names"""


class PlainReader(FileSystemReader):
    """Reads checkpoints of tensors only; unpickles only the names in `PLAIN`.

    FileSystemReader unpickles whatever the file ``.metadata`` names, and every entry that is no tensor.
    """

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """As FileSystemReader; raises InputError for anything but a description of tensors."""
        path = self._get_metadata_path(kwargs.get("rank"))
        try:
            with open(path, "rb") as file:
                metadata = _Unpickler(file).load()
        except (OSError, EOFError, pickle.UnpicklingError, ValueError, LookupError, AttributeError) as error:
            raise InputError(f"{path}: no readable description of tensors ({one_line(error)})") from None
        if not isinstance(metadata, Metadata) or metadata.storage_meta is None:
            raise InputError(f"{path}: no description of tensors")
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = MOVED.get(module, module)
        if (module, name) == ("builtins", "getattr"):
            return _member
        if name in PLAIN.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _member(owner: Any, name: str) -> Enum:
    """A member of an enumeration, which Python 3.11.0 to 3.11.3, Debian 12's, pickles as a call of ``getattr``."""
    if not (isinstance(owner, type) and issubclass(owner, Enum)):
        raise pickle.UnpicklingError("it names builtins.getattr")
    return owner[name]
