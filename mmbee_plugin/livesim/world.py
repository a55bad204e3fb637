"""Draws the authors and users of a simulation with their planted traits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.livesim.events import TYPES, highlight_rules
from mmbee_plugin.livesim.settings import LiveSimSettings

MOST_FAVOURITES = 5
MODALITIES = ("visual", "speech", "comment")


@dataclass(frozen=True)
class Authors:
    """Planted truth of the authors.

    Shapes:
        - type, circle: (n,) int64
        - first_day: (n,) int64, day of arrival from 0
        - own: (n,) bool, whether the highlight differs from the type's
        - rules: (n, EVENTS) bool, events that together make the highlight
        - popularity: (n,) float64, log-weight when users pick a room
        - fame: (n,) float64, rank of the popularity in (0, 1]; 1 is the most popular
        - appeal: (n,) float64, part of the log-odds of a gift
        - price: (n,) float64, standard normal level of gift prices
        - on_air: (n,) float64, probability of streaming on a day
        - picture, speech: (n,) bool, whether the author has the modality
    """

    type: np.ndarray
    circle: np.ndarray
    first_day: np.ndarray
    own: np.ndarray
    rules: np.ndarray
    popularity: np.ndarray
    fame: np.ndarray
    appeal: np.ndarray
    price: np.ndarray
    on_air: np.ndarray
    picture: np.ndarray
    speech: np.ndarray


@dataclass(frozen=True)
class Users:
    """Planted truth of the users.

    Shapes:
        - tastes: (n, TYPES) float64, rows sum to 1
        - circle: (n,) int64
        - favourites: (n, MOST_FAVOURITES) int64 authors, padded with -1
        - generosity, reaction, talk, wealth, activity: (n,) float64; activity has mean 1
    """

    tastes: np.ndarray
    circle: np.ndarray
    favourites: np.ndarray
    generosity: np.ndarray
    reaction: np.ndarray
    talk: np.ndarray
    wealth: np.ndarray
    activity: np.ndarray


@dataclass(frozen=True)
class World:
    authors: Authors
    users: Users


def draw_world(settings: LiveSimSettings) -> World:
    """Draws authors and users; equal settings give equal worlds."""
    authors = _draw_authors(np.random.default_rng([settings.seed, 0]), settings)
    return World(authors, _draw_users(np.random.default_rng([settings.seed, 1]), settings, authors))


def _draw_authors(rng: np.random.Generator, settings: LiveSimSettings) -> Authors:
    n = settings.authors
    types = rng.permutation(np.arange(n) % TYPES)
    own = rng.random(n) < settings.own_highlight
    rank = rng.permutation(n)
    first_day = np.zeros(n, dtype=np.int64)
    if settings.days > 1:
        new = np.flatnonzero(rng.random(n) < settings.newcomers)
        first_day[new] = 1 + np.arange(len(new)) % (settings.days - 1)
        first_day[rank == 0] = 0  # at least one author on the first day
    fame = 1 - rank / n
    return Authors(
        type=types,
        circle=rng.permutation(np.arange(n) % settings.circles),
        first_day=first_day,
        own=own,
        rules=highlight_rules(rng, types, own, settings.conjunction_types, settings.comment_types),
        popularity=-settings.popularity * np.log(rank + 1.0),
        fame=fame,
        appeal=settings.appeal * rng.normal(size=n),
        price=rng.normal(size=n),
        on_air=np.minimum(1.0, settings.on_air * (0.5 + fame)),
        picture=rng.random(n) >= settings.without_picture,
        speech=rng.random(n) >= settings.without_speech,
    )


def _draw_users(rng: np.random.Generator, settings: LiveSimSettings, authors: Authors) -> Users:
    n = settings.users
    tastes = rng.dirichlet(np.full(TYPES, settings.taste_sparsity), size=n)
    circle = rng.integers(settings.circles, size=n)
    spread = settings.activity
    return Users(
        tastes=tastes,
        circle=circle,
        favourites=_draw_favourites(rng, settings, authors, tastes, circle),
        generosity=settings.generosity * rng.normal(size=n),
        reaction=settings.reaction * np.maximum(0.0, 1 + settings.reaction_spread * rng.normal(size=n)),
        talk=rng.normal(size=n),
        wealth=rng.normal(size=n),
        activity=np.exp(spread * rng.normal(size=n) - spread**2 / 2),
    )


def _draw_favourites(
    rng: np.random.Generator,
    settings: LiveSimSettings,
    authors: Authors,
    tastes: np.ndarray,
    circle: np.ndarray,
) -> np.ndarray:
    """(n, MOST_FAVOURITES) favourites of each user, picked like rooms among the authors of the first day."""
    known = np.flatnonzero(authors.first_day == 0)
    most = min(MOST_FAVOURITES, len(known))
    favourites = np.full((settings.users, MOST_FAVOURITES), -1, dtype=np.int64)
    for begin in range(0, settings.users, 2_000):
        rows = slice(begin, begin + 2_000)
        appeal = authors.popularity[known] + settings.choose_by_taste * tastes[rows][:, authors.type[known]]
        appeal += settings.choose_by_circle * (circle[rows, None] == authors.circle[known])
        appeal += rng.gumbel(size=appeal.shape)
        best = np.argpartition(-appeal, most - 1, axis=1)[:, :most]
        # In order of appeal, so that cutting the list keeps the best.
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(appeal, best, 1), axis=1), 1)
        favourites[rows, :most] = known[best]
    count = rng.poisson(settings.favourites, size=settings.users)
    favourites[np.arange(MOST_FAVOURITES) >= count[:, None]] = -1
    return favourites
