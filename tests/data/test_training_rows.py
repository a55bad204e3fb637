"""Rows chosen and dealt, against lists made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.data.histories import Histories
from mmbee_plugin.data.training_rows import TrainingRows
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import GraphSettings

USERS = np.array([0, 1, 0, 0, 1, 0])
ITEMS = np.array([5, 5, 6, 7, 6, 8])
POSITIVE = np.array([True, True, False, True, True, True])
TIMES = np.array([0.0, 10.0, 20.0, 30.0, 40.0, 50.0])


def chosen(times=TIMES, newest=None, **graph):
    histories = Histories(USERS, ITEMS, 2, times, kept=POSITIVE)
    folding = GraphSettings(**graph) if graph else None
    return TrainingRows.chosen(USERS, ITEMS, POSITIVE, times, histories, newest, folding)


def test_all_rows_are_kept_unless_asked_otherwise():
    rows = chosen()
    assert rows.kept.all() and rows.folds is None
    assert rows.later.tolist() == [2, 1, 2, 1, 0, 0]
    assert rows.counts(9).tolist() == [0, 0, 0, 0, 0, 2, 1, 1, 1]


def test_the_newest_have_few_later_positives_and_one_before():
    assert chosen(newest=2).kept.tolist() == [False, False, False, True, True, True]
    assert chosen(newest=3).kept.tolist() == [False, False, True, True, True, True]


def test_folds_by_order_leave_out_what_none_holds():
    rows = chosen(folds=1, fold_by="order")
    assert rows.folds.tolist() == [-1, -1, -1, -1, 0, 0]
    assert rows.kept.tolist() == [False, False, False, False, True, True]
    assert rows.counts(9).tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 1]


def test_folds_by_time_are_equal_stretches():
    assert chosen(folds=2, fold_by="time").folds.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(InputError, match="time, but the data have no time"):
        chosen(times=None, folds=2, fold_by="time")


def test_rows_of_label_0_teach_live_authors_alone():
    only = replace(chosen(), positive=ITEMS == 5)
    assert np.flatnonzero(only.learned(9, live=False)).tolist() == [5]
    assert np.flatnonzero(only.learned(9, live=True)).tolist() == [5, 6, 7, 8]


def test_rows_that_are_not_kept_count_as_seen():
    """So weights mean the same in a run that keeps others, and on the day after."""
    assert np.flatnonzero(chosen(newest=1).learned(9, live=False)).tolist() == [5, 6, 7, 8]
    histories = Histories(USERS, ITEMS, 2, TIMES * 86_400, kept=POSITIVE)
    rows = TrainingRows.chosen(USERS, ITEMS, POSITIVE, TIMES * 86_400, histories, days=11)
    assert rows.kept.tolist() == [False, False, False, False, True, True]
    assert np.flatnonzero(rows.learned(9, live=False)).tolist() == [5, 6, 7, 8]


def test_rows_asked_for_that_no_fold_has_are_refused():
    assert chosen(newest=2, folds=2, fold_by="order").kept.tolist() == [False, False, False, True, True, True]
    with pytest.raises(InputError, match=r"train_newest 3: .* newest 2 rows, .* set graph\.folds=3"):
        chosen(newest=3, folds=2, fold_by="order")
    assert chosen(newest=3, folds=2, fold_by="pair").kept.sum() == 4
