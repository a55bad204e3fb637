"""Moments as text and back."""

from __future__ import annotations

import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.moments import clock, parsed_time


def test_a_moment_is_read_as_it_is_shown():
    assert clock(1_747_080_930.7) == "2025-05-12 20:15:30"
    for text in ("1747080930", "2025-05-12T20:15:30", "2025-05-12 20:15:30", "2025-05-12T22:15:30+02:00"):
        assert parsed_time(text) == 1_747_080_930
    assert parsed_time("-5.5") == -5.5


@pytest.mark.parametrize("text", ["soon", "", "2025-13-01", "nan", "1e30"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(InputError, match="expected seconds since 1970"):
        parsed_time(text)
