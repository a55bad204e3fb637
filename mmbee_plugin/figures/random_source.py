"""Random models of the paper's shapes, with users and authors, as input of bundles: for figures of cost only."""

from __future__ import annotations

import numpy as np
import torch

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.exchange import Exchange, model_settings
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.parts import GTRSettings
from mmbee_plugin.modules.shapes import ContentSettings, SIMSettings
from mmbee_plugin.modules.sim import GAP_BUCKETS, gap_buckets
from mmbee_plugin.serving.bundle.source import Facts, LiveContent, LiveModality, Longest, Windows

D, N, L, H = 64, 4, 5, 50
MODALITIES = {"visual": (3, 128), "speech": (1, 128), "comment": (1, 64)}
USER_PATHS, AUTHOR_PATHS = ("u2a2u", "u2a2u2a", "u2a2a"), ("a2a", "a2u2a")
ORIGIN, UNTIL = 1_700_000_000.0, 1e6
NOW = ORIGIN + UNTIL


class RandomSource:
    """A `Source` of random numbers in the paper's shapes, for MMBee or plain SIM."""

    def __init__(self, users: int, authors: int, mmbee: bool, seed: int = 0) -> None:
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        paths = (USER_PATHS, AUTHOR_PATHS) if mmbee else ((), ())
        kind = ("mfq", "gie") if mmbee else ("none", "none")
        gtr = GTRSettings(
            backbone="sim",
            head="mlp",
            content=kind[0],
            interest=kind[1],
            user_metapaths=paths[0],
            author_metapaths=paths[1],
        )
        widths = {name: width for name, (_, width) in MODALITIES.items()} if mmbee else {}
        parts = gtr, ContentSettings(widths=widths), SIMSettings(gaps=GAP_BUCKETS)
        self.gtr = GTRModel(*parts).eval().requires_grad_(False)
        tables = {"user": torch.randn(users + 1, D), "author": torch.randn(authors + 1, D)}
        if mmbee:
            tables["query"] = 0.1 * torch.randn(authors + 1, N * D)
        names = [f"u{n}" for n in range(users)], [f"a{n}" for n in range(authors)]
        self.exchange = Exchange(tables, self.gtr.state_dict(), *names, model_settings(*parts, H, L))
        self.facts = Facts("random", "random numbers", "", None, ORIGIN, UNTIL, True)
        self.longest = Longest(H)
        kinds = {
            name: LiveModality(
                frames, width, "float16", np.zeros(width, np.float32), np.ones(width, np.float32)
            )
            for name, (frames, width) in MODALITIES.items()
        }
        self.live = LiveContent(30.0, L, kinds) if mmbee else None
        self.mmbee = mmbee
        self._pooled = {
            side: torch.randn(count, len(own), D)
            for side, count, own in zip("ua", (users, authors), paths, strict=True)
        }
        self._history = rng.integers(0, authors, (users, H))
        self._times = np.sort(rng.uniform(0, UNTIL, (users, H))).astype(np.float32)
        self._raw = {
            name: rng.normal(size=(authors, L, *shape)).astype(np.float16)
            for name, shape in MODALITIES.items()
        }

    def users(self, rows: np.ndarray) -> UserSide:
        nothing = torch.empty(len(rows), 0)
        means = self._pooled["u"][rows] if self.mmbee else None
        counts = None if means is None else torch.ones(means.shape[:2])
        own = self.exchange.tables["user"][rows + 1]
        return UserSide(own, nothing, nothing.bool(), neighbours=means, neighbour_count=counts)

    def histories(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._history[rows], np.full(len(rows), H), self._times[rows]

    def authors(self, rows: np.ndarray) -> AuthorSide:
        side = AuthorSide(self.exchange.tables["author"][rows + 1], torch.from_numpy(rows + 1))
        if self.mmbee:
            side.queries = self.exchange.tables["query"][rows + 1].unflatten(1, (N, D))
            side.segments = {name: torch.from_numpy(raw[rows]).float() for name, raw in self._raw.items()}
            side.segment_mask = {name: torch.ones(len(rows), L, dtype=torch.bool) for name in self._raw}
            side.neighbours, side.neighbour_count = (
                self._pooled["a"][rows],
                torch.ones(len(rows), len(AUTHOR_PATHS)),
            )
        return side

    def windows(self, rows: np.ndarray) -> Windows:
        starts = np.tile(NOW - 30.0 * np.arange(L, 0, -1), (len(rows), 1))
        present = {name: np.ones(starts.shape, dtype=bool) for name in self._raw}
        return Windows(starts, starts + 30.0, {name: raw[rows] for name, raw in self._raw.items()}, present)

    def logits(self, users: np.ndarray, authors: np.ndarray) -> torch.Tensor:
        user, (history, _, times) = self.users(users), self.histories(users)
        user.history = self.exchange.tables["author"][torch.from_numpy(history) + 1]
        user.history_mask = torch.ones(history.shape, dtype=torch.bool)
        user.history_gap = gap_buckets(torch.from_numpy(times), torch.full((len(users),), UNTIL))
        author = self.gtr.encode_author(self.authors(authors)).unsqueeze(1)
        return self.gtr.score_tasks(self.gtr.encode_user(user), author).squeeze(1)
