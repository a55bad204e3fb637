from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.data.folds import fold_of_time
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import GraphSettings, Interactions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metapaths": ("u2u",)}, "metapath 'u2u'"),
        ({"fold_by": "user"}, "unknown fold_by 'user'; known: order, pair, time"),
        ({"folds": 1}, r"folds 1 is out of range, expected 0 \(none\) or at least 2"),
        ({"folds": 1, "fold_by": "time"}, r"folds 1 is out of range, expected 0 \(none\) or at least 2"),
        ({"folds": -1}, "folds -1 is out of range, expected a whole number of at least 0"),
        (
            {"folds": -1, "fold_by": "order"},
            "folds -1 is out of range, expected a whole number of at least 0",
        ),
        ({"reach_top_k": -1}, "reach_top_k -1 is out of range, expected a whole number of at least 0"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        GraphSettings(**options)


@pytest.mark.parametrize(("folds", "fold_by"), [(0, "pair"), (2, "pair"), (0, "order"), (1, "order")])
def test_numbers_of_folds(folds, fold_by):
    assert GraphSettings(folds=folds, fold_by=fold_by).folds == folds


@pytest.mark.parametrize("column", ["authors", "amounts", "later", "times"])
def test_columns_of_unequal_length(interactions, column):
    message = rf"{column} has shape \(149,\), expected \(150,\), one per interaction"
    with pytest.raises(InputError, match=message):
        replace(interactions, **{column: getattr(interactions, column)[1:]})


def test_folds_by_pair_part_the_interactions(interactions):
    settings = GraphSettings(folds=4, fold_seed=9)
    seen = [interactions.seen_by(fold, settings) for fold in range(4)]
    assert sum(len(part.users) for part in seen) == 3 * len(interactions.users)
    assert all(0 < len(part.users) < len(interactions.users) for part in seen)


def test_folds_by_order_shrink_from_fold_to_fold(interactions):
    settings = GraphSettings(folds=3, fold_by="order")
    gifts = np.bincount(interactions.users, minlength=30)
    for fold in range(3):
        seen = interactions.seen_by(fold, settings)
        left = np.bincount(seen.users, minlength=30)
        np.testing.assert_array_equal(left, np.maximum(gifts - fold - 1, 0))
        assert len(seen.authors) == len(seen.amounts) == len(seen.users)


def test_folds_by_time_are_equal_stretches_that_see_what_came_before(interactions):
    settings = GraphSettings(folds=4, fold_by="time")
    first, last = interactions.times.min(), interactions.times.max()
    folds = fold_of_time(interactions.times, interactions.times, 4)
    assert np.bincount(folds).tolist() == [38, 37, 37, 38]
    for fold in range(4):
        seen = interactions.seen_by(fold, settings)
        assert len(seen.users) == (interactions.times < first + fold / 4 * (last - first)).sum()
        assert (
            len(seen.users) == 0 if fold == 0 else seen.times.max() < interactions.times[folds == fold].min()
        )
    # What lies outside the training gifts' time belongs to the first or last stretch.
    assert fold_of_time([first - 1e6, last + 1e6], interactions.times, 4).tolist() == [0, 3]


@pytest.mark.parametrize(("side", "place"), [("users", 0), ("authors", 1)])
def test_more_nodes_than_ids_are_refused(side, place):
    counts = [3, 3]
    counts[place] = 2**31 - 1
    no_gifts = np.empty(0, np.int64)
    Interactions(no_gifts, no_gifts, None, *counts)
    counts[place] += 1
    with pytest.raises(InputError, match=f"2,147,483,648 {side}: ids are of 32 bits"):
        Interactions(no_gifts, no_gifts, None, *counts)
