"""Parts announce what they do, and no place outside the registry and the tables' rows asks for one by name."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mmbee_plugin
from mmbee_plugin.modules import ContentSettings, GTRSettings, SIMSettings
from mmbee_plugin.modules.backbone import Backbone
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


def built(name: str) -> Backbone:
    settings, sim = GTRSettings(width=16), SIMSettings(width=16, searched=4)
    return BACKBONES[name].from_settings(settings, sim).eval()


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_reads_order_where_it_says_so(make_user, name):
    """Read in another order, the same behaviours give the same vectors, or others."""
    backbone, side, author = built(name), make_user(history=8), torch.randn(1, 3, 16)
    side.history_mask[:] = True
    order = torch.tensor([5, 2, 7, 0, 1, 6, 4, 3])
    vectors = []
    for history in (side.history, side.history[:, order]):
        one = replace(side, history=history)
        found = backbone.summary(one), backbone.cross(backbone.remember(one), author)
        vectors.append(torch.cat([each.flatten() for each in found if each is not None]))
    assert torch.allclose(*vectors, atol=1e-5) != backbone.reads_order


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_has_the_widths_that_its_class_announces(name):
    backbone = built(name)
    assert (backbone.user_width > 0, backbone.cross_width > 0) == (backbone.knows_user, backbone.per_pair)


@pytest.mark.parametrize("name", BACKBONES)
def test_no_parameter_of_a_backbone_rests(make_user, name):
    """In histories that are too short for SIM's search, too."""
    backbone, side, author = built(name), make_user(history=4), torch.randn(1, 3, 16)
    memory, labels = backbone.remember(side), torch.ones(5, 3)
    found = backbone.summary(side), backbone.cross(memory, author)
    found += (backbone.auxiliary_loss(memory, author.expand(5, -1, -1), labels),)
    sum(each.sum() for each in found if each is not None).backward()
    assert all(weight.grad is not None for weight in backbone.parameters())


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("name", [name for name, content in CONTENTS.items() if content.reads_modalities])
def test_a_content_encoder_whose_parameters_rest_announces_it(make_author, name, segments):
    settings = ContentSettings(widths={"visual": 5, "text": 3}, width=16, default_query_rate=0.5)
    encoder = CONTENTS[name].from_settings(settings)
    out = encoder(make_author(batch=40, segments=segments))
    assert out.shape == (40, encoder.out_width)
    out.sum().backward()
    rests = any(weight.grad is None for weight in encoder.parameters())
    assert rests == (encoder.unused_in_one_segment and segments == 1)
