"""Inputs of a wrong shape, and missing ones, are refused by name; the checks survive compilation."""

from dataclasses import replace

import pytest
import torch

from mmbee_plugin.modules import GIE, MFQ, ContentSettings, GTRModel, GTRSettings, SIMSettings
from mmbee_plugin.modules.attention import AttentionBlock
from mmbee_plugin.modules.graphcl import GraphCLLoss
from mmbee_plugin.modules.heads import MLPHead

RAW = {"visual": 5, "acoustic": 4, "text": 3}


def model(**changes):
    paths = {"user_metapaths": ("u2a2u", "u2a2a"), "author_metapaths": ("a2a",), "attribute_width": 6}
    settings = GTRSettings(**{"backbone": "sim", "width": 16, **paths, **changes})
    return GTRModel(
        settings, ContentSettings(widths=RAW, width=16), SIMSettings(width=16, search="hard")
    ).eval()


@pytest.mark.parametrize(
    ("parts", "changes", "message"),
    [
        ({}, {"user": None}, "user: missing"),
        ({}, {"user": torch.zeros(5, 8)}, "user: width 8, expected 16"),
        ({}, {"history": torch.zeros(5, 12, 8)}, "history: width 8, expected 16"),
        ({}, {}, "history_category: missing"),
        ({"backbone": "din"}, {"neighbours": None}, "neighbours: missing"),
        ({"backbone": "din"}, {"neighbours": torch.zeros(5, 1, 16)}, r"shape \(1, 16\), expected \(2, 16\)"),
        ({"backbone": "din"}, {"attributes": torch.zeros(5, 2, 3)}, "attributes: width 3, expected 6"),
        ({"backbone": "din", "interest": "bdr"}, {"peers": None}, "peers: missing"),
        ({"backbone": "din", "interest": "bdr"}, {"peer_weights": None}, "peer_weights: missing"),
    ],
)
def test_a_user_without_what_the_parts_read_is_refused(make_user, parts, changes, message):
    with pytest.raises(ValueError, match=message):
        model(**parts).encode_user(replace(make_user(), **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"author": torch.zeros(7, 8)}, "author: width 8, expected 16"),
        ({"segments": {}}, "modality 'visual': missing, segments have none"),
        (
            {"segments": {name: torch.zeros(7, 3, 2, 5) for name in RAW}},
            "modality 'acoustic': width 5, expected 4",
        ),
        ({"queries": None}, "queries: missing"),
        ({"queries": torch.zeros(7, 2, 16)}, r"tokens of shape \(2, 16\), expected \(4, 16\)"),
    ],
)
def test_an_author_without_what_the_parts_read_is_refused(make_author, changes, message):
    with pytest.raises(ValueError, match=message):
        model().encode_author(replace(make_author(), **changes))


def test_wrong_widths_of_single_modules_are_refused():
    with pytest.raises(ValueError, match="width 10 is no multiple of heads 4"):
        AttentionBlock(10, heads=4)
    with pytest.raises(ValueError, match="key_value: width 4, expected 8"):
        AttentionBlock(8)(torch.zeros(1, 2, 8), torch.zeros(1, 2, 4))
    with pytest.raises(ValueError, match="author vectors: width 8, expected 6"):
        MLPHead(8, 6, 0).author(torch.zeros(2, 8))
    with pytest.raises(ValueError, match="negatives: width 4, expected 8"):
        GraphCLLoss()(
            torch.zeros(2, 8), torch.zeros(2, 1, 8), torch.zeros(3, 4), torch.ones(2, 3, dtype=torch.bool)
        )


def test_the_checks_do_not_break_a_compiled_graph(make_user, make_author):
    torch.compiler.reset()
    mfq, gie = MFQ(ContentSettings(widths=RAW, width=16)).eval(), GIE(("u2a2u", "u2a2a"), 16, 6)
    side, user = make_author(), make_user()
    compiled = torch.compile(mfq, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(side), mfq(side))
    compiled = torch.compile(lambda one: gie.read(None, one), backend="eager", fullgraph=True)
    assert torch.allclose(compiled(user), gie.read(None, user))
