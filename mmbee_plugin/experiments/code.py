"""Which code a cell runs: another state of it makes other cells, whatever else changes in the package."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import mmbee_plugin

ROOT = Path(mmbee_plugin.__file__).parent
NOT_RUN = ("cli/", "experiments/", "tables/", "torchrec/", "livesim/", "logs/", "data/formats/")
"""Parts of the package that no cell depends on: the data they make are known by their hash."""


@functools.cache
def code_digest(*modules: str) -> str:
    """Digest of these modules' source and of everything in the package that they import, at whatever depth.

    What a package only passes on counts for those who take it from there: a model that needs
    ``mmbee_plugin.modules.losses`` does not depend on the other modules, though importing it loads them.

    Args:
        modules: dotted names, such as ``mmbee_plugin.recbole.run``; those of other packages count for nothing.
    """
    digest = hashlib.sha256()
    for path in sorted(_reached(modules)):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _reached(modules: tuple[str, ...]) -> set[Path]:
    found: set[Path] = set()
    waiting = [path for module in modules for path in _files(module)]
    while waiting:
        path = waiting.pop()
        if path in found or path.relative_to(ROOT).as_posix().startswith(NOT_RUN):
            continue
        found.add(path)
        waiting += [file for module in _imports(path) for file in _files(module)]
    return found


def _passes_on(path: Path) -> bool:
    """Whether a package's own file is nothing but a docstring, imports and names."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Import | ast.ImportFrom) or _only_says(node) for node in body)


def _only_says(node: ast.stmt) -> bool:
    """A docstring, or names given literal values."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    plain = (ast.Constant, ast.List, ast.Tuple, ast.Load)
    return (
        isinstance(node, ast.Assign)
        and all(isinstance(target, ast.Name) for target in node.targets)
        and all(isinstance(part, plain) for part in ast.walk(node.value))
    )


def _imports(path: Path) -> Iterator[str]:
    """What a file imports, inside functions too; a name taken from a package may be a module of it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(name: str) -> list[Path]:
    """The files that a dotted name depends on: its own, and those of its packages that do more than pass on."""
    first, *parts = name.split(".")
    place = ROOT
    if first != ROOT.name:
        return []
    found: list[Path] = []  # the package's own file only passes on
    for part in parts:
        place /= part
        if (place / "__init__.py").is_file():
            found.append(place / "__init__.py")
        elif place.with_suffix(".py").is_file():
            found.append(place.with_suffix(".py"))
    return [path for path in found[:-1] if not _passes_on(path)] + found[-1:]
