"""Prometheus metrics of one process, in its own registry: the files of multi-process mode outlive dead workers."""

from __future__ import annotations

import math
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mmbee_plugin.serving.follower import Follower

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """Counters of a service; its gauges are set when the metrics are read."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "mmbee_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "mmbee_request_seconds",
            "From the whole body to the answer.",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.flags = Counter("mmbee_flags", "Answers by flag.", ["flag"], registry=registry)
        self.unscored = Counter(
            "mmbee_unscored_authors", "Candidates without a score.", ["reason"], registry=registry
        )
        self.segments = Counter(
            "mmbee_segments", "Segments by what became of them.", ["answer"], registry=registry
        )
        self.swaps = Counter("mmbee_swaps", "Bundles that came to serve.", registry=registry)
        self.refusals = Counter(
            "mmbee_refused_bundles", "Bundles that CURRENT names and that do not serve.", registry=registry
        )
        self.waiting = Gauge(
            "mmbee_waiting", "Requests that wait or are worked on.", ["lane"], registry=registry
        )
        self._bundle = Gauge("mmbee_bundle", "1 for the bundle that serves.", ["bundle"], registry=registry)
        self._age = Gauge("mmbee_bundle_data_age_seconds", "Since the end of training.", registry=registry)
        self._board = Gauge("mmbee_board_authors", "Authors on the board.", registry=registry)

    def event(self, what: str, detail: str) -> None:
        """Counts a follower's `Event`."""
        (self.swaps if what == "swapped" else self.refusals).inc()

    def text(self, follower: Follower) -> bytes:
        """All metrics in Prometheus' text format."""
        scorer = follower.scorer
        self._bundle.clear()
        if scorer is not None:
            now = time.time()
            self._bundle.labels(scorer.bundle.id).set(1)
            self._board.set(len(scorer.board.everyone(now)))
            self._age.set(math.nan if scorer.bundle.until is None else now - scorer.bundle.until)
        return generate_latest(self.registry)
