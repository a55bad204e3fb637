"""What livesim 2 has beside livesim 1: each cause measured in what was drawn, and gone when its strength is 0."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import auc
from mmbee_plugin.livesim.events import COMMENT
from mmbee_plugin.livesim.rooms import draw_rooms
from mmbee_plugin.livesim.second.drift import looks, worlds
from mmbee_plugin.livesim.second.purse import PRICES
from mmbee_plugin.livesim.second.ranking import Ranking
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.livesim.visits import draw_arrivals, draw_visits
from mmbee_plugin.logs.checks import check_tables
from mmbee_plugin.logs.folder import LogFolder

DENSE = {"users": 1_500, "authors": 150, "days": 3, "density": 4.0, "circles": 10}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    """A simulated log: path, result and settings."""
    path, settings = tmp_path_factory.mktemp("livesim2") / "log", SecondSettings(**DENSE)
    return SimpleNamespace(path=path, settings=settings, result=simulate(path, settings))


def table(path, name) -> pl.DataFrame:
    return pl.read_parquet(path / name / "*.parquet")


def planted(path, name) -> pl.DataFrame:
    return pl.read_parquet(path / "planted" / f"{name}.parquet")


def test_it_is_a_valid_log_and_says_what_it_is(made):
    log = LogFolder(made.path)
    check_tables(log)
    assert (log.info.kind, log.info.version, log.absent) == ("simulated", "livesim 2", ())
    stated = json.loads((made.path / "planted" / "settings.json").read_text())
    assert (stated["version"], stated["following"]) == ("livesim 2", made.settings.following)
    report = json.loads((made.path / "planted" / "report.json").read_text())
    assert report["causes"] == made.result.causes
    assert made.result.statistics["gifts per visit"] == pytest.approx(0.0148 * 4, rel=0.02)


def test_truth_is_the_chance_of_a_gift_in_every_sample(made, samples_of):
    samples = samples_of(made.path)
    assert samples["label"].sum() == made.result.counts["gifts"]
    rows = samples.join(
        table(made.path, "truth"), on=["user_id", "room_id", "window"], how="left", validate="m:1"
    )
    last = rows.filter(pl.col("room_id").str.ends_with("d2"))
    assert last["p"].null_count() == 0
    best = made.result.oracle.metrics["planted truth"][0]
    assert auc(last["label"].to_numpy(), last["p"].to_numpy()) == pytest.approx(best, abs=1e-4)


def test_every_cause_of_gifts_is_worth_something_to_who_knows_it(made):
    metrics = made.result.oracle.metrics
    for cause in ("following", "price", "drift"):
        assert metrics["planted truth"][2] > metrics[f"without {cause}"][2] + 0.003


def test_lists_bring_visits_to_what_was_visited_before():
    def totals(**strengths):
        settings = SecondSettings(**DENSE, **strengths)
        world, ranking = worlds(settings)[0], Ranking(settings)
        counts = []
        for day in range(2):
            rooms = draw_rooms(settings, world.authors, day)
            lists = ranking.lists(rooms, draw_arrivals(settings, world, day), day)
            visits = draw_visits(settings, world, rooms, day, lists)
            ranking.count(rooms, visits)
            counts.append(np.bincount(rooms.author[visits.room], minlength=settings.authors))
        return lists.room, visits, counts

    shown, _, counts = totals()
    assert 0.6 < (shown[:, 0] >= 0).mean() < 0.75
    several = shown[shown[:, 9] >= 0]
    assert len(several) and all(len(set(row)) == 10 for row in several.tolist())
    none, without, quiet = totals(listed=0.0)
    assert (none == -1).all()
    settings = SecondSettings(**DENSE)
    world = worlds(settings)[0]
    plain = draw_visits(settings, world, draw_rooms(settings, world.authors, 1), 1)
    for name, values in vars(plain).items():
        np.testing.assert_array_equal(vars(without)[name], values)
    again = np.argsort(-counts[0] * (quiet[1] > 0))[:10]  # of the most visited who stream again
    assert counts[1][again].sum() > 1.2 * quiet[1][again].sum()


def test_a_user_is_shown_again_whom_he_visited():
    settings = SecondSettings(**DENSE, explores=0.0, ranks_again=50.0)
    world, ranking = worlds(settings)[0], Ranking(settings)
    rooms = draw_rooms(settings, world.authors, 0)
    visits = draw_visits(settings, world, rooms, 0)
    ranking.count(rooms, visits)
    tomorrow, arrivals = draw_rooms(settings, world.authors, 1), draw_arrivals(settings, world, 1)
    shown = ranking.lists(tomorrow, arrivals, 1).room
    seen = np.zeros((settings.users, settings.authors), dtype=bool)
    seen[visits.user, rooms.author[visits.room]] = True
    known = seen[arrivals.user[:, None], tomorrow.author[shown]] & (shown >= 0)
    listed = shown[:, 1] >= 0
    assert known[listed, 0].mean() > 0.2
    assert not (known[listed, 1] & ~known[listed, 0]).any()  # whom he visited comes first


def test_tastes_and_highlights_turn_and_stay_what_they_were_in_kind(made):
    days = worlds(made.settings)
    before, after = days[0], days[-1]
    turned = (before.users.tastes != after.users.tastes).any(axis=1)
    assert turned.mean() == pytest.approx(1 - 0.9**2, abs=0.04)
    assert after.users.tastes[turned].max(axis=1).mean() == pytest.approx(
        before.users.tastes.max(axis=1).mean(), abs=0.04
    )
    rules = before.authors.rules, after.authors.rules
    assert 0.01 < (rules[0] != rules[1]).any(axis=1).mean() < 0.12
    for kind in (lambda rule: rule.sum(axis=1), lambda rule: rule[:, COMMENT].any(axis=1)):
        assert np.array_equal(*map(kind, rules))
    tastes = planted(made.path, "tastes").sort("day").unique("user_id", keep="last")
    assert len(tastes) == turned.sum()
    last = planted(made.path, "rules").sort("day").unique("author_id", keep="last").sort("author_id")
    row = last["author_id"].str.strip_prefix("a").cast(int).to_numpy()
    assert last["rule"].to_list() == (rules[1][row] @ (1 << np.arange(13))).tolist()
    still = worlds(replace(made.settings, taste_turns=0.0, act_turns=0.0))
    assert np.array_equal(still[-1].users.tastes, before.users.tastes)
    assert np.array_equal(still[-1].authors.rules, before.authors.rules)


def test_looks_move_and_keep_their_spread():
    settings = SecondSettings(users=10, authors=300, days=6)
    days = list(looks(settings, worlds(settings)[0]))
    first, last = days[0]["visual"], days[-1]["visual"]
    assert last.style.std() == pytest.approx(settings.style, rel=0.05)
    moved = np.corrcoef(first.style.ravel(), last.style.ravel())[0, 1]
    assert moved == pytest.approx((1 - 0.3**2) ** 2.5, abs=0.05)
    assert np.array_equal(first.events, last.events) and not np.array_equal(first.shape, last.shape)
    still = list(looks(replace(settings, style_drift=0.0, shape_drift=0.0), worlds(settings)[0]))
    assert np.array_equal(still[0]["speech"].centres, still[-1]["speech"].centres)


def test_comments_show_what_was_given(made):
    """Comments lie further in one direction right after gifts; where `thanks` is 0 nothing there tells of them."""
    segments, gifts = table(made.path, "segments"), table(made.path, "gifts")
    given = gifts.join(segments.select("room_id", "start", "end"), on="room_id")
    given = (
        given.filter(pl.col("time").is_between("start", "end", closed="left"))
        .select("room_id", "start")
        .unique()
    )
    rows = segments.drop_nulls("comment").join(
        given.with_columns(gift=1), on=["room_id", "start"], how="left"
    )
    centred = (
        rows["comment"].to_numpy()
        - rows.select(
            pl.concat_list(
                pl.col("comment").arr.get(axis).mean().over("room_id") for axis in range(16)
            ).list.to_array(16)
        )
        .to_series()
        .to_numpy()
    )
    direction = next(looks(made.settings, worlds(made.settings)[0]))["comment"].thanks
    gift = rows["gift"].is_not_null().to_numpy()
    shown = centred @ direction
    assert shown[gift].mean() - shown[~gift].mean() > 0.3


def test_a_gift_is_paid_from_the_purse(made):
    gifts = table(made.path, "gifts")
    purses = planted(made.path, "purses")
    dearest = (
        gifts.group_by("user_id")
        .agg(pl.col("amount").max(), pl.col("amount").sum().alias("all"))
        .join(purses, on="user_id")
    )
    assert (dearest["amount"] <= dearest["purse"]).all()
    assert (dearest["all"] <= dearest["purse"] * (1 + 2 * made.settings.refill)).all()
    joined = gifts.join(planted(made.path, "levels"), on="author_id")
    levels = joined.with_columns(high=pl.col("level") > pl.col("level").median())
    mean = levels.group_by("high").agg(pl.col("amount").log().mean()).sort("high")["amount"]
    assert mean[1] > mean[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"listed": 1.5}, "listed=1.5: a share is at most 1"),
        ({"following": 1.0}, "gifts would make gifts without end"),
        ({"purse": 0.0}, "purse=0: a number above 0"),
        ({"users": 0}, "users=0: at least 1"),
        ({"dear": float("nan")}, "dear=nan: a finite number"),
    ],
)
def test_bad_settings_are_one_line(wrong, message):
    with pytest.raises(InputError, match=message):
        SecondSettings(**wrong)


@pytest.mark.parametrize(("strength", "part"), [("following", "following"), ("dear", "price")])
def test_a_strength_of_0_switches_off_its_part_of_the_chance(tmp_path, strength, part):
    small = {"users": 300, "authors": 40, "days": 2, "density": 4.0, "purse": 1e9}
    result = simulate(tmp_path / "log", SecondSettings(**small, **{strength: 0.0}))
    assert result.oracle.metrics[f"without {part}"] == result.oracle.metrics["planted truth"]


def test_the_tiers_are_in_order_of_price():
    assert (np.diff(PRICES) > 0).all() and len(PRICES) == 16
