"""The parts' names are asked for in the registry and in the tables' rows alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmbee_plugin
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, HEADS, INTERESTS

PACKAGE = Path(mmbee_plugin.__file__).parent
NAMES = {*BACKBONES, *CONTENTS, *INTERESTS, *HEADS}
WORDS = {"none", "mean", "concat", "dot", "mlp"}
"""names that other settings and libraries have too: asked for where a slot is named beside them"""
SLOTS = ("backbone", "content", "interest", "head")


def asked(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each question "which part is it?": comparisons, keys of tables, patterns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            beside = ast.unparse(node)
            found = [each for side in (node.left, *node.comparators) for each in ast.walk(side)]
        elif isinstance(node, ast.Dict):
            beside, found = "", [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            beside, found = ast.unparse(node), [node.slice]
        elif isinstance(node, ast.MatchValue):
            beside, found = "", [node.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            beside, found = ast.unparse(node), node.args[:1]
        else:
            continue
        for each in found:
            name = each.value if isinstance(each, ast.Constant) else None
            if name in NAMES - WORDS or (name in WORDS and any(slot in beside for slot in SLOTS)):
                yield each.lineno, name


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("model.backbone == 'sim'", ["sim"]),
        ("config['content'] not in ('none', None)", ["none"]),
        ("{'gie': 1}[interest]", ["gie"]),
        ("ways.get('bdr')", ["bdr"]),
        ("match name:\n  case 'mmoe': pass", ["mmoe"]),
        ("config['distribution'] == 'none'", []),
        ("row = {'backbone': 'sim'}", []),
    ],
)
def test_a_question_is_recognised(code, found):
    assert [name for _, name in asked(ast.parse(code))] == found


def test_no_place_outside_a_part_asks_for_it_by_name():
    questions = {
        f"{path.relative_to(PACKAGE)}:{line}": name
        for path in sorted(PACKAGE.rglob("*.py"))
        if path not in (PACKAGE / "modules" / "parts.py", PACKAGE / "tables" / "rows.py")
        for line, name in asked(ast.parse(path.read_text()))
    }
    assert questions == {}, "let the part state its need as an attribute of its class, and ask for that"
