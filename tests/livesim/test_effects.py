"""Each planted effect, measured in what was written, and gone when its strength is 0."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.livesim.content import draw_looks
from mmbee_plugin.livesim.events import COMMENT, COMMON, EVENTS, PICTURE, SHARE, SPEECH
from mmbee_plugin.livesim.gifts import gift_log_odds
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.world import draw_world

MODALITIES = ("visual", "speech", "comment")


def _odds(label: np.ndarray, exposed: np.ndarray) -> float:
    """Odds ratio of label and exposure, both (n,) bool."""
    cells = [np.sum((label == a) & (exposed == b)) + 0.5 for a in (1, 0) for b in (1, 0)]
    return cells[0] * cells[3] / (cells[1] * cells[2])


def _bits(column: pl.Series) -> np.ndarray:
    return column.to_numpy()[:, None] >> np.arange(EVENTS) & 1 == 1


@pytest.fixture(scope="module")
def arrays(samples):
    return {
        name: samples[name].to_numpy() for name in ("label", "highlight", "type", "in_circle", "favourite")
    } | {
        "rule": _bits(samples["rule"]),
        "on": _bits(samples["events"]),
    }


def test_an_event_raises_gifts_only_where_it_is_the_authors_own(arrays):
    single = arrays["rule"].sum(axis=1) == 1
    own, others = [], []
    for event in (*COMMON, *COMMENT):
        for wanted, ratios in ((True, own), (False, others)):
            rows = single & (arrays["rule"][:, event] == wanted)
            ratios.append(_odds(arrays["label"][rows], arrays["on"][rows, event]))
    assert np.exp(np.log(own).mean()) > 4 and min(own) > 2
    assert 0.8 < np.exp(np.log(others).mean()) < 1.25


def test_a_conjunction_needs_both_its_events(arrays):
    pair = arrays["rule"].sum(axis=1) == 2
    met = (arrays["on"] & arrays["rule"])[pair].sum(axis=1)
    label = arrays["label"][pair]
    assert _odds(label[met != 1], met[met != 1] == 2) > 4
    assert 0.7 < _odds(label[met != 2], met[met != 2] == 1) < 1.4


def test_events_are_as_frequent_in_every_type(made):
    segments = pl.read_parquet(made.path / "planted" / "segments" / "*.parquet")
    authors = pl.read_parquet(made.path / "planted" / "authors.parquet")
    author = segments.with_columns(author_id=pl.col("room_id").str.extract(r"^(a\d+)d"))
    types = author.join(authors, on="author_id", maintain_order="left")["type"].to_numpy()
    on = _bits(segments["events"])
    shares = np.array([on[types == each].mean(axis=0) for each in range(8)])
    np.testing.assert_allclose(shares, np.tile(SHARE, (8, 1)), atol=0.06)
    rates = [segments["highlight"].to_numpy()[types == each].mean() for each in range(8)]
    assert min(rates) > 0.08 and max(rates) < 0.17


def test_some_authors_have_a_highlight_of_their_own(made):
    authors = pl.read_parquet(made.path / "planted" / "authors.parquet")
    usual = authors.filter(~pl.col("own")).group_by("type").agg(pl.col("rule").unique().alias("usual"))
    assert (usual["usual"].list.len() == 1).all() and usual["usual"].list.first().n_unique() == 8
    other = authors.filter("own").join(usual.explode("usual"), on="type")
    assert (other["rule"] != other["usual"]).all() and 0.25 < len(other) / len(authors) < 0.45


def test_circle_loyalty_taste_and_generosity_show_in_gifts(samples, arrays):
    assert _odds(arrays["label"], arrays["in_circle"]) > 6
    assert _odds(arrays["label"], arrays["favourite"]) > 2
    for column in ("taste", "generosity", "appeal"):
        mean = samples.group_by("label").agg(pl.col(column).mean(), pl.col(column).std().alias("spread"))
        given, quiet = (mean.filter(pl.col("label") == label) for label in (1, 0))
        assert (given[column][0] - quiet[column][0]) / quiet["spread"][0] > 0.1


def test_strong_reactors_give_in_highlights(samples, arrays):
    strong = (samples["reaction"] > samples["reaction"].median()).to_numpy()
    ratios = [_odds(arrays["label"][rows], arrays["highlight"][rows]) for rows in (strong, ~strong)]
    assert ratios[0] > 1.7 * ratios[1] > 1.7


def test_circles_are_in_the_donation_graph_and_not_in_the_content(made):
    authors = pl.read_parquet(made.path / "planted" / "authors.parquet")
    gifts = pl.read_parquet(made.path / "gifts" / "*.parquet").select("user_id", "author_id").unique()
    pairs = gifts.join(gifts, on="user_id").filter(pl.col("author_id") < pl.col("author_id_right"))
    circle = dict(zip(authors["author_id"], authors["circle"], strict=True))
    same = np.mean([circle[a] == circle[b] for a, b in pairs.select("author_id", "author_id_right").rows()])
    chance = 1 / made.settings.circles
    assert same > 1.6 * chance

    segments = pl.read_parquet(made.path / "segments" / "*.parquet")
    means = []
    for modality in MODALITIES:
        values = segments.select("author_id", modality).drop_nulls()
        wide = pl.DataFrame(values[modality].to_numpy()).with_columns(values["author_id"])
        means.append(wide.group_by("author_id").mean())
    joined = means[0].join(means[1], on="author_id", suffix="_s").join(means[2], on="author_id", suffix="_c")
    joined = joined.join(authors.select("author_id", "type", "circle"), on="author_id")
    points = joined.drop("author_id", "type", "circle").to_numpy()
    distance = ((points[:, None] - points) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :5]
    types, circles = joined["type"].to_numpy(), joined["circle"].to_numpy()
    assert (types[nearest] == types[:, None]).mean() > 0.95
    assert (circles[nearest] == circles[:, None]).mean() < 1.3 * chance


def test_each_modality_shows_common_events_and_its_own(made):
    segments = pl.read_parquet(made.path / "segments" / "*.parquet")
    segments = segments.with_columns(
        window=pl.int_range(pl.len(), dtype=pl.Int32).over("room_id", order_by="start")
    )
    events = pl.read_parquet(made.path / "planted" / "segments" / "*.parquet")
    rows = segments.join(events, on=["room_id", "window"]).drop_nulls(MODALITIES)
    on = _bits(rows["events"])
    own = {"visual": PICTURE, "speech": SPEECH, "comment": COMMENT}
    for modality in MODALITIES:
        values = rows[modality].to_numpy().reshape(len(rows), -1, 16).mean(axis=1)
        # Least squares of the features on the events: how far an event moves them.
        design = np.column_stack([np.ones(len(on)), on])
        moved = np.linalg.norm(np.linalg.lstsq(design, values, rcond=None)[0][1:], axis=1)
        shown = np.isin(np.arange(EVENTS), [*COMMON, *own[modality]])
        assert moved[shown].min() > 0.7 * made.settings.events
        assert moved[~shown].max() < 0.3 * made.settings.events


def test_the_shared_latent_makes_modalities_redundant(made):
    segments = pl.read_parquet(made.path / "segments" / "*.parquet").drop_nulls(MODALITIES)
    within = segments.select(
        pl.col(modality).arr.get(axis) - pl.col(modality).arr.get(axis).mean().over("room_id")
        for modality in ("speech",)
        for axis in [0]
    )
    picture = np.stack([segments["visual"].arr.get(axis).to_numpy() for axis in range(16)], axis=1)
    residual = within.to_series().to_numpy()
    fitted = picture @ np.linalg.lstsq(picture, residual, rcond=None)[0]
    assert np.corrcoef(fitted, residual)[0, 1] > 0.2


def test_modalities_are_missing_as_planted(made):
    segments = pl.read_parquet(made.path / "segments" / "*.parquet")
    authors = pl.read_parquet(made.path / "planted" / "authors.parquet")
    missing = segments.group_by("author_id").agg(pl.col(MODALITIES).null_count() / pl.len(), pl.len())
    missing = missing.join(authors, on="author_id", suffix="_planted")
    assert (missing["visual"] == (~missing["picture"]).cast(float)).all()
    assert (missing["speech"] == (~missing["speech_planted"]).cast(float)).all()
    visits = pl.read_parquet(made.path / "visits" / "*.parquet").group_by("author_id").len("visits")
    by_size = missing.join(visits, on="author_id").sort("visits")
    assert by_size["comment"].head(50).mean() > 0.2 > by_size["comment"].tail(50).mean()


def test_feedback_leans_on_highlights_and_taste(made, samples):
    feedback = pl.read_parquet(made.path / "feedback" / "*.parquet")
    assert set(feedback["kind"]) == {"comment", "like"}
    rooms = pl.read_parquet(made.path / "rooms" / "*.parquet").select("room_id", "start")
    window = ((pl.col("time") - pl.col("start")) // 30_000).cast(pl.Int32)
    rows = feedback.join(rooms, on="room_id").with_columns(window=window)
    rows = rows.join(
        pl.read_parquet(made.path / "planted" / "segments" / "*.parquet"), on=["room_id", "window"]
    )
    quiet = samples.filter(pl.col("label") == 0)
    assert rows["highlight"].mean() > 1.5 * quiet["highlight"].mean()
    users = pl.read_parquet(made.path / "planted" / "users.parquet").select("user_id", "tastes")
    types = pl.read_parquet(made.path / "planted" / "authors.parquet").select("author_id", "type")
    taste = rows.join(users, on="user_id").join(types, on="author_id")
    assert taste.select(pl.col("tastes").arr.get(pl.col("type")).mean()).item() > 1.2 * quiet["taste"].mean()


@pytest.mark.parametrize(
    ("strength", "part"),
    [
        ("generosity", "generosity"), ("taste", "taste"), ("circle", "circle"), ("loyalty", "loyalty"),
        ("favourites", "loyalty"), ("appeal", "appeal"), ("reaction", "highlight"),
    ],
)  # fmt: skip
def test_a_strength_of_0_switches_off_its_part_of_the_chance(strength, part):
    settings = LiveSimSettings(users=200, authors=50, **{strength: 0.0})
    world = draw_world(settings)
    user, author = np.arange(200).repeat(50), np.tile(np.arange(50), 200)
    parts = vars(gift_log_odds(settings, world, user, author, np.ones(len(user), dtype=bool)))
    assert {name for name, values in parts.items() if not values.any()} == {part}


def test_a_strength_of_0_switches_off_its_part_of_the_content():
    def looks(**strengths):
        settings = LiveSimSettings(users=10, authors=50, **strengths)
        return draw_looks(settings, draw_world(settings).authors)

    assert not looks(type_shape=0.0, style=0.0)["visual"].centres.any()
    assert len(np.unique(looks(style=0.0)["speech"].centres, axis=0)) == 8
    assert not looks(shared_latent=0.0)["comment"].latent.any()
    picture_alone = looks(redundancy=0.0)
    assert picture_alone["visual"].events[COMMON].any(axis=1).all()
    assert not picture_alone["speech"].events[COMMON].any()
    common = draw_world(
        LiveSimSettings(users=10, authors=50, conjunction_types=0, comment_types=0)
    ).authors.rules
    assert (common.sum(axis=1) == 1).all() and common[:, COMMON].any(axis=1).all()
    assert not draw_world(LiveSimSettings(users=10, authors=50, own_highlight=0.0)).authors.own.any()
