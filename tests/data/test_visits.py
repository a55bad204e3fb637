import numpy as np
import pytest

from mmbee_plugin.data.visits import VISIT, read_visits
from mmbee_plugin.errors import InputError


def write(folder, *rows, dtype=VISIT):
    np.save(folder / "visits.npy", np.array(list(rows), dtype))


def test_visits_are_read_cut_and_counted_from_elsewhere(tmp_path):
    assert read_visits(tmp_path, 3, 2) is None
    write(tmp_path, (0, 1, 10.0), (2, 0, 20.0), (2, 1, 20.0), (1, 1, 30.5))
    found = read_visits(tmp_path, 3, 2)
    assert len(found) == 4 and len(found.until(9)) == 0
    early = found.until(20)
    assert early.users.tolist() == [0, 2, 2] and early.authors.tolist() == [1, 0, 1]
    assert found.since(10).ends.tolist() == [0, 10, 10, 20.5]


@pytest.mark.parametrize(
    ("rows", "dtype", "message"),
    [
        ([1.0, 2.0], "f8", r"visits\.npy: float64 of shape \(2,\); 1 dimensions of records are needed"),
        ([(0, 1)], [("user", "<i4"), ("author", "<i4")], "expected one entry a visit"),
        ([(0, 1, 1.0), (3, 1, 2.0)], VISIT, r"entry 1: user 3 is outside 0\.\.2"),
        ([(0, -1, 1.0)], VISIT, r"entry 0: author -1 is outside 0\.\.1"),
        ([(0, 1, 2.0), (0, 1, 1.0)], VISIT, "descend"),
        ([(0, 1, np.nan)], VISIT, "no numbers"),
    ],
)
def test_bad_visits_are_one_line(tmp_path, rows, dtype, message):
    write(tmp_path, *rows, dtype=dtype)
    with pytest.raises(InputError, match=message) as caught:
        read_visits(tmp_path, 3, 2)
    assert "\n" not in str(caught.value)
