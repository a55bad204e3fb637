"""Draws the rooms of the package: ``python docs/rooms.py`` writes docs/rooms.svg and the list in architecture.md.

A room is a folder of the package. It stands above every room that it imports from, so all arrows point down; the
picture leaves out arrows that others imply. The list has the folders within a room too. ``--check`` writes nothing and
exits with 1 where the files are not current.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mmbee_plugin"
PICTURE, PAGE = ROOT / "docs" / "rooms.svg", ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: written by docs/rooms.py -->", "<!-- end of rooms -->"
BOX_HEIGHT, FLOOR_HEIGHT, GAP, MARGIN = 34, 84, 16, 20


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The package's modules that a file imports, inside functions too, but for those that only types need."""

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            for found in (name, name.rpartition(".")[0]):
                if found in known:
                    yield found
                    break
                if f"{found}.__init__" in known:
                    yield f"{found}.__init__"
                    break
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    return walk(ast.parse(path.read_text(encoding="utf-8")))


def module_graph() -> nx.DiGraph:
    """An arrow from each module to every module that it imports."""
    known, graph = modules(), nx.DiGraph()
    for name, path in known.items():
        graph.add_node(name)
        graph.add_edges_from((name, other) for other in imports(path, known) if other != name)
    return graph


def room_of(module: str) -> str:
    """The folder of a module in the package; of a file at the package's root the file itself."""
    return module.split(".")[1]


def room_graph() -> nx.DiGraph:
    """An arrow from each room to every room that it imports from."""
    graph = nx.DiGraph()
    for module, other in module_graph().edges:
        if room_of(module) != room_of(other) and room_of(module) != "__init__" != room_of(other):
            graph.add_edge(room_of(module), room_of(other))
    return graph


def floors(graph: nx.DiGraph) -> list[list[str]]:
    """The rooms by floor, the ground floor (which imports nothing) first."""
    return [sorted(floor) for floor in nx.topological_generations(graph.reverse())]


def file_of(room: str) -> str:
    """A room's path in the package."""
    return room if (PACKAGE / room).is_dir() else f"{room}.py"


def purpose(room: str) -> str:
    """The first sentence of a room's docstring."""
    place = PACKAGE / room
    text = (
        ast.get_docstring(ast.parse((place / "__init__.py" if place.is_dir() else place).read_text())) or ""
    )
    return " ".join(text.split("\n\n")[0].split())


def drawing(graph: nx.DiGraph) -> str:
    """The picture as SVG."""
    stacked = floors(graph)[::-1]
    width_of = {room: 9 * len(room) + 24 for room in graph}
    wide = max(sum(width_of[room] + GAP for room in floor) for floor in stacked) + 2 * MARGIN
    place, boxes = {}, []
    for level, floor in enumerate(stacked):
        x = (wide - sum(width_of[room] + GAP for room in floor) + GAP) / 2
        for room in floor:
            y = MARGIN + level * FLOOR_HEIGHT
            place[room] = (x, y)
            boxes.append(
                f'<g><title>{escape(purpose(file_of(room)))}</title><rect x="{x:.0f}" y="{y}" width="{width_of[room]}" '
                f'height="{BOX_HEIGHT}" rx="6"/><text x="{x + width_of[room] / 2:.0f}" y="{y + 22}">{room}</text></g>'
            )
            x += width_of[room] + GAP
    arrows = []
    for upper, lower in sorted(nx.transitive_reduction(graph).edges):
        (x1, y1), (x2, y2) = place[upper], place[lower]
        x1, x2 = x1 + width_of[upper] / 2, x2 + width_of[lower] / 2
        y1 += BOX_HEIGHT
        bend = (y2 - y1) / 2
        arrows.append(
            f'<path d="M{x1:.0f} {y1} C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2 - 4}"/>'
        )
    high = 2 * MARGIN + (len(stacked) - 1) * FLOOR_HEIGHT + BOX_HEIGHT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high}" font-family="monospace" '
            'font-size="15" text-anchor="middle">',
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="#8a94a6" stroke="none"/></marker></defs>',
            "<style>rect{fill:#eef3fb;stroke:#4a6fa5}path{fill:none;stroke:#8a94a6;marker-end:url(#tip)}"
            "text{fill:#1d2733}</style>",
            f'<rect width="{wide:.0f}" height="{high}" style="fill:#ffffff;stroke:none"/>',
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def listing(graph: nx.DiGraph) -> str:
    """The rooms from the top floor down as a table, with the folders in each and what they are for."""
    lines = ["| floor | room | what it is for |", "| --- | --- | --- |"]
    stacked = floors(graph)
    for level in range(len(stacked), 0, -1):
        for room in stacked[level - 1]:
            inner = sorted(path.parent for path in (PACKAGE / room).rglob("__init__.py"))
            for place in inner or [PACKAGE / f"{room}.py"]:
                name = place.relative_to(PACKAGE).as_posix()
                lines.append(f"| {level} | `{name}` | {purpose(name)} |")
    return "\n".join(lines)


def main() -> int:
    """Writes both files, or only says whether they are current."""
    graph = room_graph()
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    page = f"{before}{BEGIN}\n{listing(graph)}\n{END}{rest.partition(END)[2]}"
    wanted = {PICTURE: drawing(graph), PAGE: page}
    if "--check" not in sys.argv[1:]:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path.name for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    print(f"not current: {', '.join(stale)}; run python docs/rooms.py" if stale else "current")
    return int(bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
