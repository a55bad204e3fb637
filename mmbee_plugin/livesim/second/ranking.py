"""The platform's own ranking: lists of rooms at each arrival, by what the logs of earlier days hold."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from mmbee_plugin.livesim.choice import ShownLists, looks_at_list
from mmbee_plugin.livesim.rooms import Rooms
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.visits import Arrivals, Visits, on_air


class Ranking:
    """Counts visits, and lists rooms by them.

    Score of author a for user u: log(1 + visits of a) + `ranks_again` * log(1 + visits of u to a) + `explores` * Gumbel
    noise, of the visits on earlier days, each of weight `ranks_memory` a day.
    """

    def __init__(self, settings: SecondSettings) -> None:
        self._settings = settings
        self._seen = sparse.csr_matrix((settings.users, settings.authors))

    def lists(self, rooms: Rooms, arrivals: Arrivals, day: int) -> ShownLists:
        """The rooms shown at each of the day's arrivals; none at the share of them that does not look at a list."""
        settings = self._settings
        choice = settings.choice
        rng = np.random.default_rng([settings.seed, 14, day])
        looks = looks_at_list(choice, settings.seed, day, len(arrivals.user))
        shown = np.full((len(looks), choice.length), -1, dtype=np.int64)
        of_all = np.log1p(np.asarray(self._seen.sum(axis=0)).ravel())
        for rows, near, closed in on_air(rooms, arrivals.enter):
            closed, rows = closed[looks[rows]], rows[looks[rows]]
            author = rooms.author[near]
            own = self._seen[arrivals.user[rows]][:, author].toarray()
            score = of_all[author] + settings.ranks_again * np.log1p(own)
            score += settings.explores * rng.gumbel(size=score.shape)
            score[closed] = -np.inf
            best = np.argsort(-score, axis=1, kind="stable")[:, : choice.length]
            there = np.isfinite(np.take_along_axis(score, best, axis=1))
            shown[rows, : best.shape[1]] = np.where(there, near[best], -1)
        return ShownLists(choice, shown)

    def count(self, rooms: Rooms, visits: Visits) -> None:
        """Adds the visits of a day that is over."""
        places = visits.user, rooms.author[visits.room]
        new = sparse.csr_matrix((np.ones(len(visits.user)), places), shape=self._seen.shape)
        self._seen = self._settings.ranks_memory * self._seen + new
