"""What the parts of a model take from the shape of its data."""

import pytest

from mmbee_plugin.assembly.parts import DataShape, parts_of
from mmbee_plugin.assembly.settings import ModelSettings
from mmbee_plugin.errors import InputError

SHAPE = {"widths": {}, "attribute_width": 0, "ordered": True, "categories": False}


def test_lists_with_visits_want_the_floor_that_they_are_made_for():
    pooled = DataShape(**SHAPE, reach=True, pooled_at=10.0)
    assert parts_of(ModelSettings(reach_floor=10.0), pooled).gtr.reach
    with pytest.raises(InputError, match=r"reach_floor 0\.0001: the long walk's lists have visits for 10\.0"):
        parts_of(ModelSettings(), pooled)


@pytest.mark.parametrize("reach", [False, True])
def test_lists_without_visits_take_any_floor(reach):
    assert parts_of(ModelSettings(reach_floor=0.3), DataShape(**SHAPE, reach=reach)).gtr.reach == reach


def test_lists_that_are_not_read_take_any_floor():
    model = ModelSettings(reach_floor=0.3, interest="none")
    assert not parts_of(model, DataShape(**SHAPE, reach=True, pooled_at=10.0)).gtr.reach
