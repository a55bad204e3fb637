"""The rows of the tables, against the paper's and against what bad input gets."""

from __future__ import annotations

import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.gtr import BACKBONES, CONTENTS, INTERESTS
from mmbee_plugin.tables.rows import FULL, NUMBERS, make_table

MODALITIES = ("visual", "speech", "comment")
PATHS = ("u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a")


def test_table_2_has_every_competitor_on_both_backbones():
    table = make_table(2, MODALITIES, PATHS)
    slots = ["", "+BDR", "+MTA", "+EgoFusion", "+concat", "+MFQ", "+GIE", "+MFQ+GIE"]
    assert [row.name for row in table.rows] == [b + s for b in ("MMoE", "SIM") for s in slots] + [
        "DIN",
        "DIEN",
    ]
    assert {row.name: row.against for row in table.rows}["MMoE+GIE"] == "MMoE"
    assert table.row("SIM+MFQ+GIE").settings == FULL
    distinct = {tuple(sorted(row.settings.items())) for row in table.rows}
    assert len(distinct) == len(table.rows)


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
    assert table.row("speech(-)").settings["modalities"] == ["visual", "comment"]
    assert table.row("speech(-)").labels == ("speech(-)", "√", "-", "√")
    paths = make_table(7, MODALITIES, PATHS)
    assert paths.row("h_a2a(-)").settings["metapaths"] == ["u2a2u", "u2a2u2a", "u2a2a", "a2u2a"]
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
