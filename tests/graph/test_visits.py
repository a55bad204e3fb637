from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.data.visits import Visits
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.lists import ENTRY, PackedLists
from mmbee_plugin.graph.profiles import profiles
from mmbee_plugin.graph.refresh import Refresh
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.visits import lift_of_visits, pairs_counted, with_visits

SETTINGS = GraphSettings(
    metapaths=("u2a",), reach_top_k=20, reach_own=True, folds=3, fold_by="time", visits=0.5, visits_floor=2.0
)
START = 1_700_000_000


@pytest.fixture
def visits():
    """400 visits of 30 users, the last of whom stays away, to 20 authors, over the time of the gifts and beyond."""
    random = np.random.default_rng(3)
    ends = START + np.sort(random.random(400)) * 120_000
    users, authors = random.integers(0, 29, 400), (20 * random.random(400) ** 2).astype(int)
    return Visits(users.astype(np.int32), authors.astype(np.int32), ends)


@pytest.fixture
def inputs(interactions, visits):
    return Inputs(interactions, SETTINGS, visits=visits)


def no_walk():
    """Empty lists of 30 users, who share a row."""
    return PackedLists(
        ("reach",), np.zeros(2, np.int64), np.empty(0, ENTRY), np.zeros(30, np.int64), (False,), 20
    )


def dense(snapshot, fold=None):
    return snapshot.reach(fold).matrix(20).toarray()


def counted_lift(visits, until, prior):
    """(30, 20) by loops over pairs."""
    early = [
        (u, a) for u, a, end in zip(visits.users, visits.authors, visits.ends, strict=True) if end <= until
    ]
    of_author = np.array([sum(a == one for _, a in early) for one in range(20)], dtype=float)
    share = of_author + of_author.mean()
    share /= max(share.sum(), 1e-9)
    found = np.zeros((30, 20))
    for user in range(30):
        own = [a for u, a in early if u == user]
        for author in own:
            found[user, author] += 1 / ((len(own) + prior) * share[author])
    return found


def test_the_lift_is_the_share_of_a_users_visits_over_that_of_all(interactions, visits):
    found = lift_of_visits(pairs_counted(visits, interactions), prior=7.0)
    np.testing.assert_allclose(found.toarray(), counted_lift(visits, np.inf, 7.0))
    assert found[29].nnz == 0 and (np.diff(found.indptr) > 5).sum() > 20


@pytest.mark.parametrize("fold", [None, 0, 1, 2])
def test_lists_are_pooled_with_the_visits_that_their_graph_knows(tmp_path, inputs, fold):
    plain = build_snapshot(replace(inputs, settings=SETTINGS.replace(visits=0.0)), tmp_path)
    found, walk = dense(build_snapshot(inputs, tmp_path), fold), dense(plain, fold)
    times = inputs.seen(fold).times
    lift = counted_lift(inputs.visits, times.max(initial=-np.inf), SETTINGS.visits_prior)
    np.testing.assert_allclose(found, 2 * ((1 + walk / 2) * (1 + lift) ** 0.5 - 1), rtol=1e-4, atol=1e-6)
    assert (lift > 0).any() == (fold != 0)  # the first fold has seen nothing


def test_a_model_with_this_floor_adds_logarithms(tmp_path, inputs):
    plain = build_snapshot(replace(inputs, settings=SETTINGS.replace(visits=0.0)), tmp_path)
    newest = inputs.interactions.times.max()
    lift = counted_lift(inputs.visits, newest, SETTINGS.visits_prior)
    logit = np.log1p(dense(build_snapshot(inputs, tmp_path)) / 2)
    np.testing.assert_allclose(logit, np.log1p(dense(plain) / 2) + 0.5 * np.log1p(lift), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fold", [None, 0, 2])
def test_profiles_add_to_the_logarithm_and_may_speak_against(tmp_path, inputs, fold):
    leaning = SETTINGS.replace(visits_profile=0.7, visits_rank=3)
    plain, found = (build_snapshot(replace(inputs, settings=one), tmp_path) for one in (SETTINGS, leaning))
    seen = inputs.seen(fold)
    known = inputs.visits.until(seen.times.max(initial=-np.inf))
    share = len(known) / len(inputs.visits)
    lean = profiles(pairs_counted(known, seen), pairs_counted(seen, seen), 3)
    added = np.log1p(dense(found, fold) / 2) - np.log1p(dense(plain, fold) / 2)
    expected = 0.7 * share ** (1 / 3) * lean.users @ lean.authors.T
    np.testing.assert_allclose(added, expected, rtol=1e-4, atol=1e-5)
    assert (dense(found, fold) < 0).any() == (fold != 0)


def test_an_entry_keeps_a_logarithm_that_is_a_number(interactions, visits):
    strong = SETTINGS.replace(visits_profile=50.0, visits_rank=3)
    found = with_visits(no_walk(), interactions, visits, strong).entries["weight"]
    logarithms = np.log1p(found / np.float32(2))
    assert logarithms.min() == pytest.approx(-12, abs=0.05)
    assert logarithms.max() == pytest.approx(40, abs=0.05)


def test_those_furthest_from_zero_stay(interactions, visits):
    leaning = SETTINGS.replace(visits=0.0, visits_profile=0.7, visits_rank=3)
    of_graph = no_walk(), interactions, visits
    every = with_visits(*of_graph, leaning).along("reach").all().matrix(20).toarray()
    cut = with_visits(*of_graph, leaning.replace(reach_top_k=4)).along("reach").all()
    size = np.abs(np.log1p(every / 2))
    for user in range(30):
        np.testing.assert_array_equal(cut.of(user)[0], np.sort(np.argsort(-size[user])[:4]))
    assert (cut.weights < 0).any() and (cut.weights > 0).any()


def test_the_best_stay_by_ascending_author(interactions, visits):
    of_graph = no_walk(), interactions, visits
    every = with_visits(*of_graph, SETTINGS).along("reach").all()
    cut = with_visits(*of_graph, SETTINGS.replace(reach_top_k=4)).along("reach").all()
    shortened = 0
    for user in range(30):
        (ids, weights), (kept, of_kept) = every.of(user), cut.of(user)
        best = np.sort(np.lexsort((ids, -weights))[:4])
        np.testing.assert_array_equal(kept, ids[best])
        np.testing.assert_array_equal(of_kept, weights[best])
        shortened += len(ids) > 4
    assert shortened > 20


def test_ties_stay_by_lower_author(interactions):
    """No walk, and as many visits to each of six authors: the first four stay."""
    pairs = np.arange(6)
    visits = Visits(np.zeros(6, np.int32), pairs.astype(np.int32), np.full(6, START * 1.0))
    found = with_visits(no_walk(), interactions, visits, SETTINGS.replace(reach_top_k=4))
    ids, weights = found.along("reach").of(0)
    assert ids.tolist() == [0, 1, 2, 3] and len(set(weights.tolist())) == 1


def test_other_visits_make_another_snapshot_and_unread_ones_do_not(inputs, visits):
    fewer = Visits(visits.users[:-1], visits.authors[:-1], visits.ends[:-1])
    keys = [inputs.key, replace(inputs, visits=fewer).key]
    keys += [
        replace(inputs, settings=SETTINGS.replace(**one)).key
        for one in ({"visits": 1.0}, {"visits_prior": 1.0}, {"visits_profile": 0.7})
    ]
    assert len(set(keys)) == 5
    off = SETTINGS.replace(visits=0.0)
    unread = replace(inputs, settings=off), replace(inputs, settings=off, visits=None)
    no_lists = SETTINGS.replace(reach_top_k=0)
    assert (
        replace(inputs, settings=no_lists).key == replace(inputs, settings=no_lists.replace(visits=0.0)).key
    )
    also = replace(inputs, settings=off.replace(visits_prior=3.0, visits_rank=5, visits_floor=4.0))
    assert len({one.key for one in (*unread, also)}) == 1
    leaning = off.replace(visits_profile=0.7)
    assert replace(inputs, settings=SETTINGS.replace(visits_rank=5)).key == inputs.key
    assert (
        len({replace(inputs, settings=leaning.replace(**one)).key for one in ({}, {"visits_rank": 5})}) == 2
    )
    assert (
        replace(inputs, settings=leaning.replace(visits_prior=3.0)).key
        == replace(inputs, settings=leaning).key
    )


def test_refreshed_lists_are_not_pooled_twice(tmp_path, inputs):
    """Without folds, whose lists would be of other gifts."""
    plain = replace(inputs, settings=SETTINGS.replace(folds=0))
    first = build_snapshot(plain, tmp_path / "first")
    refresh = Refresh(first, np.arange(30), np.arange(20), None)
    again = build_snapshot(replace(plain, refresh=refresh), tmp_path / "again")
    assert again.refreshed is not None and again.refreshed["users"] == 0
    np.testing.assert_array_equal(dense(again), dense(first))


@pytest.mark.parametrize(
    ("asked", "name"),
    [({}, "graph.visits"), ({"visits": 0.0, "visits_profile": 0.7}, "graph.visits_profile")],
)
@pytest.mark.parametrize(
    ("chosen", "lacking", "message"),
    [
        ({}, "visits", "no visits here; a log's samples have them with mmbee data samples LOGS DST --visits"),
        ({"folds": 0}, "times", "the data have no time, which tells what visits a graph knows; set it to 0"),
        (
            {"fold_by": "pair"},
            None,
            "with folds, which visits a graph knows is told by time, not with graph.fold_by pair",
        ),
    ],
)
def test_what_lacks_is_one_line(interactions, visits, asked, name, chosen, lacking, message):
    if lacking == "times":
        interactions = replace(interactions, times=None)
    inputs = Inputs(
        interactions, SETTINGS.replace(**asked, **chosen), visits=None if lacking == "visits" else visits
    )
    with pytest.raises(InputError) as caught:
        _ = inputs.key
    assert str(caught.value) == f"{name}: {message}"
