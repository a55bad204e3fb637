"""Refreshed lists: those of touched nodes are an exact build's, those of all others the earlier snapshot's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.refresh import Refresh, touched
from mmbee_plugin.graph.settings import GraphSettings, Interactions

N_USERS, N_AUTHORS = 60, 40
NAMES = Names([f"u{n}" for n in range(N_USERS)], [f"a{n}" for n in range(N_AUTHORS)])
SETTINGS = GraphSettings(top_k=5, reach_top_k=4, reach_inner=20)
SAME = np.arange(N_USERS), np.arange(N_AUTHORS)


@pytest.fixture
def yesterday() -> Interactions:
    """Gifts of 50 of 60 users to 35 of 40 authors, thinly, in the order of time."""
    random = np.random.default_rng(0)
    users, authors = random.integers(0, 50, 110), random.integers(0, 35, 110)
    return Interactions(
        users, authors, random.integers(1, 9, 110), N_USERS, N_AUTHORS, times=np.arange(110.0)
    )


def with_gifts(gifts: Interactions, *pairs: tuple[int, int], without: int = 0) -> Interactions:
    """The gifts but for the first ``without``, and one more of each (user, author)."""
    assert gifts.amounts is not None and gifts.times is not None
    users, authors = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    end = gifts.times.max()
    return replace(
        gifts,
        users=np.append(gifts.users[without:], users),
        authors=np.append(gifts.authors[without:], authors),
        amounts=np.append(gifts.amounts[without:], np.full(len(users), 5)),
        times=np.append(gifts.times[without:], end + 1 + np.arange(len(users))),
    )


def lists_of(snapshot, name):
    """Each node's ids and weights along a metapath or ``reach``."""
    lists = snapshot.reach() if name == "reach" else snapshot.neighbours(name)
    return [(ids.tolist(), weights.tolist()) for ids, weights in map(lists.of, range(lists.n_nodes))]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"normalisation": "symmetric", "exclude_own": False, "reach_own": True, "reach_lift": True},
        {"walk_max_users": 3, "swing_max_users": 3, "swing_top_k": 5},
    ],
)
def test_touched_nodes_have_the_exact_lists_and_others_yesterdays(tmp_path, yesterday, given):
    settings = SETTINGS.replace(**given)
    today = with_gifts(yesterday, (3, 7), (55, 7), (4, 38), without=2)
    before = build(yesterday, settings, tmp_path, names=NAMES)
    exact = build(today, settings, tmp_path, names=NAMES)
    found = build(today, settings, tmp_path, names=NAMES, refresh=Refresh(before, *SAME))
    assert len({before.path, exact.path, found.path}) == 3
    for part in ("u2a", "a2a"):
        assert (getattr(found, part)() != getattr(exact, part)()).nnz == 0

    ends = [yesterday.users[:2], yesterday.authors[:2]]
    changed = {3, 55, 4, *ends[0]}, {7, 38, *ends[1]}
    kept_differ = 0
    for name in (*PAPER_METAPATHS, "reach"):
        new, old, true = (lists_of(snapshot, name) for snapshot in (found, before, exact))
        for node, one in enumerate(new):
            is_new = node in changed[0 if name[0] in "ur" else 1]
            assert one == (true if is_new else old)[node], f"{name} of {node}"
            kept_differ += not is_new and old[node] != true[node]
    assert kept_differ > 20, "an exact build would have changed more"
    facts = found.refreshed
    assert facts is not None and facts["users"] == len(changed[0]) / 60
    assert facts["authors"] == len(changed[1]) / 40 and set(facts["dropped"].values()) == {0}


def test_rows_are_matched_by_who_they_are(tmp_path, yesterday):
    """Users and authors in another order, some gone, some new."""
    random = np.random.default_rng(1)
    users, authors = random.permutation(N_USERS), random.permutation(N_AUTHORS)
    users[:3], authors[:3] = -1, -1  # whoever was there is gone, and somebody new is
    row_of = np.full(N_USERS, -1), np.full(N_AUTHORS, -1)
    for rows, old in zip(row_of, (users, authors), strict=True):
        rows[old[old >= 0]] = np.flatnonzero(old >= 0)
    moved_users, moved_authors = row_of[0][yesterday.users], row_of[1][yesterday.authors]
    stays = (moved_users >= 0) & (moved_authors >= 0)
    today = with_gifts(
        Interactions(
            moved_users[stays],
            moved_authors[stays],
            yesterday.amounts[stays],
            N_USERS,
            N_AUTHORS,
            times=yesterday.times[stays],
        ),
        (0, 0),
        (1, 9),
    )
    before, exact = build(yesterday, SETTINGS, tmp_path), build(today, SETTINGS, tmp_path)
    refresh = Refresh(before, users, authors)
    kept = refresh.on(exact.u2a())
    found = build(today, SETTINGS, tmp_path, refresh=refresh)
    lost_gift = ~stays
    for node in range(N_USERS):
        edges = yesterday.users == users[node]
        assert kept.users[node] == (users[node] < 0 or node in (0, 1) or lost_gift[edges].any())
    assert kept.authors[[0, 9]].all() and not kept.users.all() and not kept.authors.all()
    assert found.refreshed is not None
    dropped = found.refreshed["dropped"]
    for name in (*PAPER_METAPATHS, "reach"):
        new, old, true = (lists_of(snapshot, name) for snapshot in (found, before, exact))
        side = 0 if name[0] in "ur" else 1
        is_new, was = (kept.users, kept.authors)[side], (users, authors)[side]
        for node, (ids, weights) in enumerate(new):
            if is_new[node]:
                assert (ids, weights) == true[node], f"{name} of {node}"
                continue
            end = row_of[0 if name[-1] == "u" else 1]
            there = [(int(end[i]), weight) for i, weight in zip(*old[was[node]], strict=True) if end[i] >= 0]
            order = sorted(there, key=lambda one: one[0] if name == "reach" else (-one[1], one[0]))
            assert list(zip(ids, weights, strict=True)) == order, f"{name} of {node}"
    assert sum(dropped.values()) > 0


def test_a_day_without_a_change_refreshes_nothing(tmp_path, yesterday):
    before = build(yesterday, SETTINGS, tmp_path, names=NAMES)
    found = build(yesterday, SETTINGS, tmp_path, names=NAMES, refresh=Refresh(before, *SAME))
    assert found.path != before.path and found.manifest["files"] == before.manifest["files"]
    expected = {"from": before.manifest["key"], "exact": before.manifest["key"], "in_a_row": 1}
    facts = found.refreshed
    assert facts is not None and expected.items() <= facts.items()
    assert facts["users"] == facts["authors"] == 0 and before.refreshed is None
    again = build(yesterday, SETTINGS, tmp_path, names=NAMES, refresh=Refresh(found, *SAME)).refreshed
    assert again is not None and again["from"] == found.manifest["key"]
    assert (again["exact"], again["in_a_row"]) == (before.manifest["key"], 2)


def test_one_histories_users_may_have_lists_of_two_days(tmp_path):
    """Of two users with the same single author one is touched; the other keeps the older list."""
    gifts = Interactions(
        np.array([0, 1, 2, 2]), np.array([0, 1, 0, 1]), np.full(4, 2), 4, 3, times=np.arange(4.0)
    )
    settings = SETTINGS.replace(metapaths=("u2a2u", "u2a"), reach_top_k=0)
    same = np.arange(4), np.arange(3)
    before = build(gifts, settings, tmp_path)
    today = with_gifts(gifts, (3, 0))
    found = build(today, settings, tmp_path, refresh=Refresh(before, *same))
    assert lists_of(found, "u2a2u")[0] == lists_of(before, "u2a2u")[0]
    exact = build(today, settings, tmp_path)
    assert lists_of(found, "u2a2u")[3] == lists_of(exact, "u2a2u")[3]
    assert lists_of(exact, "u2a2u")[0] != lists_of(before, "u2a2u")[0]
    assert found.lists("u").rows.tolist() == [0, 1, 2, 3] and exact.lists("u").rows.tolist() == [0, 1, 2, 0]


def test_folds_by_time_keep_lists_that_have_seen_nothing_of_them(tmp_path, yesterday):
    """Two days: the second day's fold has yesterday's lists where yesterday ended before that day."""
    day = 86_400.0
    first = replace(yesterday, times=np.linspace(0, day - 1, 110))
    today = with_gifts(first, (3, 7), (4, 38))
    today = replace(today, times=np.append(first.times, [day + 1, day + 2]))
    settings = SETTINGS.replace(folds=2, fold_by="day")
    before = build(first, SETTINGS, tmp_path)
    exact = build(today, settings, tmp_path)
    early = build(today, settings, tmp_path, refresh=Refresh(before, *SAME, until=day - 1))
    late = build(today, settings, tmp_path, refresh=Refresh(before, *SAME, until=day + 1))
    assert early.path != late.path
    seen_yesterday = {
        name: entry for name, entry in early.manifest["files"].items() if name.startswith("fold-1/")
    }
    assert {name.removeprefix("fold-1/"): entry for name, entry in seen_yesterday.items()}.items() <= (
        before.manifest["files"].items()
    )
    stages = {one["stage"] for one in early.manifest["stages"]}
    assert "u2a2u without fold 1" in stages
    for name, entry in exact.manifest["files"].items():
        if name.startswith("fold-"):
            assert late.manifest["files"][name] == entry

    other = settings.replace(fold_by="pair")
    pairs = build(today, other, tmp_path, refresh=Refresh(before, *SAME, until=day - 1))
    for name, entry in build(today, other, tmp_path).manifest["files"].items():
        assert name.startswith("fold-") <= (pairs.manifest["files"][name] == entry)


def test_a_weight_that_changed_touches_both_ends(tmp_path, yesterday):
    u2a = build(yesterday, SETTINGS, tmp_path).u2a()
    row = int(np.flatnonzero(np.diff(u2a.indptr))[0])
    more = u2a.copy()
    more.data = more.data.copy()
    more.data[0] += 1
    users, authors = touched(more, u2a, *SAME)
    assert np.flatnonzero(users).tolist() == [row]
    assert np.flatnonzero(authors).tolist() == [u2a.indices[0]]


def test_tokens_are_kept_and_others_make_a_new_snapshot(tmp_path, yesterday):
    built = build(yesterday, SETTINGS, tmp_path, names=replace(NAMES, origin=1e9))
    assert built.names("u") == list(NAMES.users) and built.names("a") == list(NAMES.authors)
    assert built.newest == 1e9 + 109
    renamed = replace(NAMES, users=["x", *NAMES.users[1:]])
    again = build(yesterday, SETTINGS, tmp_path, names=renamed)
    assert again.path == built.path and again.names("u")[0] == "x"
    nameless = build(replace(yesterday, amounts=None), SETTINGS, tmp_path)
    assert nameless.is_named(NAMES) and nameless.newest is None
