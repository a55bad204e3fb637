"""A section refuses in one line, is copied with a check, and gives another what they have in common."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import AliasChoices, Field, model_validator

from mmbee_plugin.errors import InputError
from mmbee_plugin.settings.listing import groups, markdown_of, text_of
from mmbee_plugin.settings.section import Names, Section
from mmbee_plugin.settings.words import OneOf

PARTS = {"round": 1}


class Wheel(Section):
    """A wheel."""

    radius: float = Field(default=0.3, gt=0, le=2, validation_alias=AliasChoices("radius", "r"))
    """in metres"""
    spokes: int = Field(default=32, ge=1)
    """how many"""


class Cart(Section):
    """A cart."""

    shape: Annotated[str, OneOf(PARTS)] = "round"
    """of its wheels"""
    colour: Literal["red", "blue"] | None = None
    """~: of wood"""
    owners: Names = ()
    """by name"""
    load: Annotated[int, Field(ge=0)] | None = 5
    """in kilograms"""
    front: Wheel = Wheel(spokes=8)
    """the first wheel"""

    @model_validator(mode="after")
    def _bears_it(self) -> Cart:
        if self.load and self.load > self.front.spokes:
            raise ValueError(f"load {self.load} is too much for {self.front.spokes} spokes")
        return self


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"front": {"spokes": 0}}, "front.spokes 0 is out of range, expected a whole number of at least 1"),
        (
            {"front": {"r": 3}},
            "front.r 3 is out of range, expected a number of more than 0 and at most 2",
        ),
        ({"front": 3}, "front: found 3, expected entries {name: value} of radius, spokes"),
        ({"front": {"spoke": 3}}, "front.spoke: no such setting; did you mean spokes?"),
        ({"axle": 1}, "axle: no such setting; known: shape, colour, owners, load, front"),
        ({"front": {"r": 1, "radius": 1}}, "front.r: another name of radius, which is given too"),
        ({"load": 1.5}, "load: found 1.5, expected a whole number of at least 0, or ~"),
        ({"load": -1}, "load -1 is out of range, expected a whole number of at least 0, or ~"),
        ({"colour": "green"}, "unknown colour 'green'; known: red, blue, ~"),
        ({"shape": "square"}, "unknown shape 'square'; known: round"),
        ({"owners": ["a", "a"]}, "owners: 'a' is listed twice"),
        ({"owners": [1]}, "owners: found 1, expected a list of names"),
        ({"load": 9}, "load 9 is too much for 8 spokes"),
    ],
)
def test_what_is_wrong_is_one_line(values, line):
    with pytest.raises(InputError) as error:
        Cart.of(values, "cart.yaml")
    assert str(error.value) == f"cart.yaml: {line}"


def test_a_section_made_in_python_is_checked_too():
    with pytest.raises(InputError, match=r"^spokes 0 is out of range"):
        Wheel(spokes=0)
    with pytest.raises(InputError, match=r"^radius -1 is out of range"):
        Wheel(spokes=4).replace(radius=-1)
    assert Wheel(spokes=4).replace(radius=1) == Wheel(radius=1.0, spokes=4)


def test_choices_are_read_when_a_value_is_checked(monkeypatch):
    monkeypatch.setitem(PARTS, "square", 2)
    assert Cart(shape="square").shape == "square"


def test_a_section_takes_from_another_what_both_have():
    class Spare(Section):
        spokes: int = 1
        rim: str

    assert Wheel(spokes=7).part(Spare, rim="steel") == Spare(spokes=7, rim="steel")


def test_defaults_are_those_of_the_section_around():
    assert Cart.defaults() == {
        "shape": "round",
        "colour": None,
        "owners": [],
        "load": 5,
        "front": {"spokes": 8},
    }


def test_a_list_has_every_name_with_type_range_default_and_meaning():
    listed = groups(Cart)
    assert [group.title for group in listed] == ["A cart", "A wheel"]
    text, table = text_of(listed), markdown_of(listed)
    assert "  load = 5  (a whole number of at least 0, or ~)\n      in kilograms" in text
    assert "  front.radius = 0.3  (a number of more than 0 and at most 2, also r)\n      in metres" in text
    assert "| `front.radius` (`r`) | a number of more than 0 and at most 2 | `0.3` | in metres |" in table
    assert "| `front.spokes` | a whole number of at least 1 | `8` | how many |" in table
