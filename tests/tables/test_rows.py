"""The rows of the tables, against the paper's and against what bad input gets."""

from __future__ import annotations

import json

import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.rows import PAPER, kept_note, over
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, INTERESTS
from mmbee_plugin.recbole.config.files import paper_settings
from mmbee_plugin.recbole.config.sources import merged
from mmbee_plugin.tables.rows import FULL, NUMBERS, make_table

MODALITIES = ("visual", "speech", "comment")
PATHS = ("u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a")


def named(table, name):
    return next(row for row in table.rows if row.name == name)


def test_table_2_has_every_competitor_on_both_backbones():
    table = make_table(2, MODALITIES, PATHS)
    slots = ["", "+BDR", "+MTA", "+EgoFusion", "+concat", "+MFQ", "+GIE", "+MFQ+GIE"]
    assert [row.name for row in table.rows] == [b + s for b in ("MMoE", "SIM") for s in slots] + [
        "DIN",
        "DIEN",
        PAPER,
    ]
    assert {row.name: row.against for row in table.rows}["MMoE+GIE"] == "MMoE"
    assert named(table, "SIM+MFQ+GIE").settings == FULL
    distinct = {json.dumps(row.settings, sort_keys=True) for row in table.rows}
    assert len(distinct) == len(table.rows)


def test_the_paper_s_row_keeps_its_settings_and_says_which():
    table = make_table(2, MODALITIES, PATHS)
    row = named(table, PAPER)
    assert merged(FULL, paper_settings()) == row.settings
    assert (row.against, row.settings["head"], row.settings["graph"]["reach_top_k"]) == ("SIM", "mlp", 0)
    given = {"epochs": 3, "loss": "bce", "head": "dot", "graph": {"top_k": 10, "folds": 4}}
    table.check_settings(given)  # refused by none
    (note,) = kept_note(row.name, row.settings, given)
    assert note.startswith(f"{PAPER} keeps its own head mlp, graph.top_k 50, graph.folds 0; ")
    assert note in table.notes(given)
    assert over(given, row.settings)["epochs"] == 3 != row.settings["epochs"]
    assert over({}, row.settings) == row.settings
    assert not any("keeps" in line for line in table.notes({"epochs": 3, "seed": 7, "graph": {"top_k": 50}}))
    assert table.only(["DIN"]).notes(given) == []


def test_an_entry_that_no_row_sets_can_be_given():
    table = make_table(7, MODALITIES, PATHS)
    table.check_settings({"graph": {"top_k": 10}})
    with pytest.raises(InputError, match=r"setting 'graph.reach_top_k': the rows of table 7 set it"):
        table.check_settings({"graph": {"reach_top_k": 10}})


@pytest.mark.parametrize("number", NUMBERS)
def test_rows_are_composed_of_parts_that_exist(number):
    for row in make_table(number, MODALITIES, PATHS).rows:
        assert row.settings["backbone"] in BACKBONES
        assert row.settings["content"] in CONTENTS
        assert row.settings["interest"] in INTERESTS
        assert row.against is None or row.against in {
            other.name for other in make_table(number, MODALITIES, PATHS).rows
        }


def test_ablations_turn_one_switch_each():
    changes = {row.name: set(row.settings.items() ^ FULL.items()) for row in make_table(5, (), ()).rows}
    assert changes["width 64"] == {("mfq_width", 64)}
    table = make_table(4, MODALITIES, PATHS)
    assert named(table, "speech(-)").settings["modalities"] == ["visual", "comment"]
    assert named(table, "speech(-)").labels == ("speech(-)", "√", "-", "√")
    paths = make_table(7, MODALITIES, PATHS)
    assert named(paths, "h_a2a(-)").settings["metapaths"] == ["u2a2u", "u2a2u2a", "u2a2a", "a2u2a"]
    assert [row.name for row in paths.rows if row.against is None] == ["Ours"]


def test_only_keeps_what_a_row_is_measured_from():
    chosen = make_table(2, MODALITIES, PATHS).only(["SIM+MTA"])
    assert [row.name for row in chosen.rows] == ["SIM", "SIM+MTA"]
    assert chosen.full is None
    with pytest.raises(InputError, match=r"no row 'SIM\+mfq'; it has: MMoE, "):
        make_table(2, MODALITIES, PATHS).only(["SIM+mfq"])


def test_bad_input_is_one_line():
    with pytest.raises(InputError, match="table 8 is not one of 2, 3, 4, 5, 6, 7"):
        make_table(8, MODALITIES, PATHS)
    with pytest.raises(InputError, match="the data have visual"):
        make_table(4, ("visual",), PATHS)
    with pytest.raises(InputError, match="setting 'segments': the rows of table 6 set it"):
        make_table(6, MODALITIES, PATHS).check_settings({"epochs": 3, "segments": 5})
