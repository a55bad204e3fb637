"""Drift over days: users' tastes, authors' highlights, and what segments look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mmbee_plugin.livesim.content import Look, draw_looks
from mmbee_plugin.livesim.events import COMMENT, TYPES
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.settings import WIDTH
from mmbee_plugin.livesim.world import World, draw_world


def worlds(settings: SecondSettings) -> list[World]:
    """The world of each day. The first is livesim 1's.

    At a midnight a user's tastes are drawn anew with chance `taste_turns`, and an author takes over the highlight of
    another author of the same kind of highlight with chance `act_turns`.
    """
    found = [draw_world(settings)]
    for day in range(1, settings.days):
        users, authors = found[-1].users, found[-1].authors
        rng = np.random.default_rng([settings.seed, 11, day])
        turned = rng.random(settings.users) < settings.taste_turns
        anew = rng.dirichlet(np.full(TYPES, settings.taste_sparsity), size=settings.users)
        tastes = np.where(turned[:, None], anew, users.tastes)
        rng = np.random.default_rng([settings.seed, 12, day])
        rules = _taken_over(rng, authors.rules, rng.random(settings.authors) < settings.act_turns)
        found.append(World(replace(authors, rules=rules), replace(users, tastes=tastes)))
    return found


def _taken_over(rng: np.random.Generator, rules: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Rules (n, EVENTS) of which those of the authors `turned` (n,) are others' of the same kind."""
    kind = 2 * (rules.sum(axis=1) == 2) + rules[:, COMMENT].any(axis=1)
    source = np.arange(len(rules))
    for each in np.unique(kind):
        members = np.flatnonzero(kind == each)
        source[members] = rng.permutation(members)
    return np.where(turned[:, None], rules[source], rules)


def looks(settings: SecondSettings, world: World) -> Iterator[dict[str, Look]]:
    """The directions of each day's segments. Centres move as stationary autoregressions; events keep their direction.

    Args:
        world: of any day.
    """
    found = draw_looks(settings, world.authors)
    yield found
    for day in range(1, settings.days):
        rng = np.random.default_rng([settings.seed, 13, day])
        found = {
            modality: replace(
                look,
                shape=_moved(rng, look.shape, settings.shape_drift, settings.type_shape),
                style=_moved(rng, look.style, settings.style_drift, settings.style),
            )
            for modality, look in found.items()
        }
        yield found


def _moved(rng: np.random.Generator, centres: np.ndarray, by: float, spread: float) -> np.ndarray:
    """Centres (n, WIDTH) of deviation `spread` after a step that leaves it as it is; correlation sqrt(1 - by^2)."""
    return (1 - by**2) ** 0.5 * centres + by * spread * rng.normal(size=(len(centres), WIDTH))
