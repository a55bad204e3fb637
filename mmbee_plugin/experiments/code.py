"""Digest of the code that a cell runs, part of its key: changes elsewhere in the package keep cells valid."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import mmbee_plugin

ROOT = Path(mmbee_plugin.__file__).parent
NOT_RUN = ("cli/", "experiments/", "tables/", "torchrec/", "livesim/", "logs/", "data/formats/")
"""parts that a cell depends on through its data at most, whose hash is in the key on its own"""


@functools.cache
def code_digest(*modules: str, whole: bool = False) -> str:
    """Digest of these modules' source and of all modules of the package that they import, transitively.

    An ``__init__.py`` that only re-exports is left out: a model that imports ``mmbee_plugin.modules.losses`` does not
    depend on the other modules that the package's ``__init__.py`` loads.

    Args:
        modules: dotted names, such as ``mmbee_plugin.recbole.run``; those of other packages are ignored.
        whole: includes what they import of :data:`NOT_RUN`.
    """
    digest = hashlib.sha256()
    for path in sorted(_reached(modules, () if whole else NOT_RUN)):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _reached(modules: tuple[str, ...], without: tuple[str, ...]) -> set[Path]:
    found: set[Path] = set()
    waiting = [path for module in modules for path in _files(module)]
    while waiting:
        path = waiting.pop()
        if path in found or path.relative_to(ROOT).as_posix().startswith(without):
            continue
        found.add(path)
        waiting += [file for module in _imports(path) for file in _files(module)]
    return found


def _passes_on(path: Path) -> bool:
    """Whether an ``__init__.py`` has nothing but a docstring, imports and constants."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Import | ast.ImportFrom) or _only_says(node) for node in body)


def _only_says(node: ast.stmt) -> bool:
    """Whether a statement is a docstring or assigns literals to names."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    plain = (ast.Constant, ast.List, ast.Tuple, ast.Load)
    return (
        isinstance(node, ast.Assign)
        and all(isinstance(target, ast.Name) for target in node.targets)
        and all(isinstance(part, plain) for part in ast.walk(node.value))
    )


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, inside functions too; ``from a import b`` yields ``a.b``, which may be a
    module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(name: str) -> list[Path]:
    """Files that a dotted name depends on: its module, and each ``__init__.py`` above it that runs code."""
    first, *parts = name.split(".")
    place = ROOT
    if first != ROOT.name:
        return []
    found: list[Path] = []  # without mmbee_plugin/__init__.py, which only re-exports
    for part in parts:
        place /= part
        if (place / "__init__.py").is_file():
            found.append(place / "__init__.py")
        elif place.with_suffix(".py").is_file():
            found.append(place.with_suffix(".py"))
    return [path for path in found[:-1] if not _passes_on(path)] + found[-1:]
