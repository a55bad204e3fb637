"""Arrows between the rooms of the package: each points down, and none goes round, whatever line an import is on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mmbee_plugin

ROOT = Path(mmbee_plugin.__file__).parent

FLOORS = {
    "": (
        ("errors",),
        ("files", "kernels", "command", "moments", "randomness", "evaluation", "settings", "results"),
        ("data",),
        ("modules", "graph"),
        ("offline", "logs", "assembly", "serving"),
        ("livesim", "spark"),
        ("builtin",),
        ("recbole", "torchrec"),
        ("experiments",),
        ("tables", "figures", "daily"),
        ("studies", "abtest"),
        ("demo",),
        ("cli",),
    ),
    "recbole": (
        ("config",),
        ("data",),
        ("offline", "training", "untrained"),
        ("models",),
        ("compat",),
        ("plugin",),
        ("run",),
        ("exchange", "graphs", "tune"),
        ("bundle", "graph_report"),
    ),
    "torchrec": (
        ("settings",),
        ("processes", "shards"),
        ("batches",),
        ("sharded",),
        ("checkpoints", "plan"),
        ("training",),
        ("node_vectors", "train"),
        ("graphcl",),
    ),
}
"""Of the package, and of a room, what it holds, from the bottom up: a part reads what is on lower floors. Parts on one
floor do not know each other, above all the two adapters, ``recbole`` and ``torchrec``, and ``modules`` and ``graph``.
"""


def imported(source: str, known: set[str]) -> set[str]:
    """The modules among ``known`` that a source imports, at its top or within its functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known or {node.module}
            found |= {node.module} if names - known else set()
    return found & known


def arrows(root: Path) -> dict[str, set[str]]:
    """Of each module of a package those of the package that it imports; the package itself is none of them."""
    files = {
        ".".join(file.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for file in root.rglob("*.py")
    }
    modules = files.keys() - {root.name}
    return {name: imported(files[name].read_text(encoding="utf-8"), modules) - {name} for name in modules}


ARROWS = arrows(ROOT)


def part(module: str, room: str) -> str | None:
    """Which part of a room a module is in; None for one elsewhere and for the room's own ``__init__``."""
    prefix = f"mmbee_plugin.{room}." if room else "mmbee_plugin."
    return module.removeprefix(prefix).partition(".")[0] if module.startswith(prefix) else None


def between(room: str) -> dict[tuple[str, str], list[str]]:
    """The arrows between the parts of a room, with the modules they are made of."""
    found: dict[tuple[str, str], list[str]] = {}
    for module, others in ARROWS.items():
        for other in others:
            ends = part(module, room), part(other, room)
            if None not in ends and ends[0] != ends[1]:
                found.setdefault(ends, []).append(f"{module} -> {other}")
    return found


def test_the_walk_reads_every_line():
    source = "import a.b\nfrom a import c, name\ndef f():\n    from a.d import g\nif 0:\n    import other, a"
    assert imported(source, {"a", "a.b", "a.c", "a.d", "a.e"}) == {"a", "a.b", "a.c", "a.d"}


def test_no_import_goes_round():
    TopologicalSorter(ARROWS).prepare()  # CycleError names the modules


@pytest.mark.parametrize("room", FLOORS)
def test_every_arrow_points_down(room):
    floor = {name: height for height, names in enumerate(FLOORS[room]) for name in names}
    assert floor.keys() == {part(module, room) for module in ARROWS} - {None}
    upward = {ends: why for ends, why in between(room).items() if floor[ends[0]] <= floor[ends[1]]}
    assert not upward


@pytest.mark.parametrize(
    "room", [folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()]
)
def test_the_parts_of_a_room_do_not_read_each_other_in_a_circle(room):
    graph: dict[str, set[str]] = {}
    for start, end in between(room):
        graph.setdefault(start, set()).add(end)
    TopologicalSorter(graph).prepare()


def test_only_the_room_of_spark_imports_it():
    sources = {file.relative_to(ROOT): file.read_text(encoding="utf-8") for file in ROOT.rglob("*.py")}
    found = {
        file.parts[0]
        for file, source in sources.items()
        if re.search(r"^ *(?:from|import) pyspark\b", source, re.M)
    }
    assert found == {"spark"}


def test_the_picture_of_the_rooms_is_current():
    checked = subprocess.run(
        [sys.executable, ROOT.parent / "docs" / "rooms.py", "--check"], capture_output=True, text=True
    )
    assert checked.stdout == "current\n"
