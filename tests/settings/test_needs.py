"""A given setting that nothing reads is found, and why; one that something reads never is."""

from __future__ import annotations

from typing import Annotated

import pytest

from mmbee_plugin.settings.listing import groups, markdown_of
from mmbee_plugin.settings.needs import Needs, ReadBy, Setting, idle
from mmbee_plugin.settings.section import Section
from mmbee_plugin.settings.words import OneOf


class _Round:
    reads = ("spokes",)


class _Square:
    reads = ()


class _Own(_Square):
    """Of another package: what it reads is not known, whatever its base says."""


SHAPES = {"round": _Round, "square": _Square, "own": _Own}


class _Wheel(Section):
    """A wheel."""

    spokes: Annotated[int, ReadBy("shape")] = 8
    """how many"""
    colour: Annotated[str, Needs("spokes")] = "red"
    """of the spokes"""
    gloss: Annotated[float, Needs("colour", among=("red", "blue"))] = 0.5
    """of the colour"""
    gold: Annotated[float, Needs("cart.paid")] = 0.0
    """there is no cart"""


class _Cart(Section):
    """A cart."""

    shape: Annotated[str, OneOf(SHAPES)] = "round"
    """of its wheels"""
    rolls: bool = True
    """it has wheels"""
    wheel: Annotated[_Wheel | None, Needs("rolls")] = _Wheel()
    """each of them"""
    oil: Annotated[int, Needs("wheel.spokes", "axle")] = 1
    """in drops, of whatever turns"""
    axle: bool = False
    """turns"""
    grease: Annotated[int, Needs("rolls"), Needs("axle")] = 1
    """in grams"""


@pytest.mark.parametrize(
    ("cart", "given", "lines"),
    [
        ({}, {"wheel": {"spokes": 6, "colour": "green", "gloss": 1}, "oil": 3}, []),
        ({"shape": "square"}, {"wheel": {"spokes": 6}}, ["wheel.spokes 6: nothing reads it, since shape is square"]),
        # what is needed is needed itself: the reason is the first of the chain
        ({"shape": "square"}, {"wheel": {"gloss": 1}}, ["wheel.gloss 1: nothing reads it, since shape is square"]),
        (
            {"wheel": {"spokes": 0}},
            {"wheel": {"gloss": 1}},
            ["wheel.gloss 1: nothing reads it, since wheel.spokes is 0"],
        ),
        (
            {"wheel": {"colour": "green"}},
            {"wheel": {"gloss": 1}},
            ["wheel.gloss 1: nothing reads it, since wheel.colour is green"],
        ),
        ({"rolls": False}, {"wheel": {"spokes": 6}}, ["wheel.spokes 6: nothing reads it, since rolls is false"]),
        ({"shape": "own"}, {"wheel": {"spokes": 6}}, []),
        # one of several is enough
        ({"axle": True, "shape": "square"}, {"oil": 3}, []),
        (
            {"shape": "square"},
            {"oil": 3},
            ["oil 3: nothing reads it, since shape is square and axle is false"],
        ),
        # all of several needs
        ({"axle": True}, {"grease": 3}, []),
        ({}, {"grease": 3}, ["grease 3: nothing reads it, since axle is false"]),
        # a setting that is not there is not needed; nor is what is no setting
        ({"wheel": None}, {"oil": 3, "wheel": {"spokes": 5}}, ["oil 3: nothing reads it, since axle is false"]),
        ({}, {"wheel": {"gold": 1.0}, "price": 3}, []),
        # what asks for nothing is not idle
        ({"shape": "square", "rolls": False}, {"wheel": {"spokes": 0, "colour": "", "gloss": 0.0}, "rolls": False}, []),
        ({"shape": "square"}, {"wheel": None}, []),
    ],
)  # fmt: skip
def test_what_nothing_reads(cart, given, lines):
    assert list(idle(_Cart(**cart), given).values()) == lines


def test_a_setting_that_takes_other_values_counts_as_on():
    given = {"wheel": {"spokes": 6}}
    assert idle(_Cart(shape="square"), given, varied=["shape"]) == {}
    assert list(idle(_Cart(shape="square"), given, varied=["axle"])) == ["wheel.spokes"]


def test_what_is_needed_is_in_the_lists():
    rows = {row.name: row.meaning for group in groups(_Cart) for row in group.rows}
    assert rows["wheel.spokes"] == "how many (read with shape round, own)"
    assert rows["wheel.colour"] == "of the spokes (read with wheel.spokes)"
    assert rows["wheel.gloss"] == "of the colour (read with wheel.colour red, blue)"
    assert rows["wheel.gold"] == "there is no cart"
    assert rows["oil"] == "in drops, of whatever turns (read with wheel.spokes or axle)"
    assert rows["grease"] == "in grams (read with rolls and axle)"
    assert "\nwheel is read with rolls.\n" in markdown_of(groups(_Cart))
    wheel = {row.name: row.meaning for group in groups(_Wheel) for row in group.rows}
    assert wheel["spokes"] == "how many"  # of a wheel alone, no one says which shape


def test_marks_are_no_part_of_a_section():
    assert _Cart().model_dump() == _Cart.model_validate(_Cart().model_dump()).model_dump()
    found = Setting.found(_Cart(), ["wheel", "spokes"])
    assert found is not None and (found.called, found.value) == ("wheel.spokes", 8)
    assert Setting.found(_Cart, ["wheel", "spoke"]) is None
