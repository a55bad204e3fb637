"""Prometheus metrics of a service, summed over its processes.

Each process counts in files of a shared folder that are named for its part in the service, not for its process id: one
that replaces a dead one goes on counting where that one ended, so sums never fall and nothing of the dead is left over.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import MultiProcessValue

from mmbee_plugin.serving.swap.holder import Holder

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """Counters of a process.

    Args:
        folder: of the service's counters, see `count_in`; None for a process on its own.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
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
        self.parts = Counter(
            "mmbee_segment_parts",
            "Parts of the followed folder, by whether they could be read.",
            ["answer"],
            registry=registry,
        )
        self.swaps = Counter("mmbee_swaps", "Bundles that came to serve.", registry=registry)
        self.refusals = Counter(
            "mmbee_refused_bundles", "Bundles that CURRENT names and that do not serve.", registry=registry
        )
        self.waiting = Gauge(
            "mmbee_waiting",
            "Requests that wait or are worked on.",
            ["lane"],
            registry=registry,
            multiprocess_mode="sum",
        )

    def event(self, what: str, detail: str) -> None:
        """Counts a holder's `Event`."""
        counter = {"swapped": self.swaps, "refused": self.refusals}.get(what)
        if counter is not None:
            counter.inc()

    def text(self, holder: Holder) -> bytes:
        """All metrics in Prometheus' text format."""
        registry = self.registry
        if self.folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self.folder))
        return generate_latest(registry) + generate_latest(_Present(holder))


def count_in(folder: Path, part: str) -> None:
    """Lets the metrics that this process makes from now on count in a folder, as ``part`` of the service."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = MultiProcessValue(lambda: part)


class _Present(Collector):
    """What is served now, which is the same in every process."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder

    def collect(self) -> Iterator[GaugeMetricFamily]:
        scorer, now = self.holder.scorer, time.time()
        if scorer is None:
            return
        bundle, until = scorer.bundle.id, scorer.bundle.until
        served = GaugeMetricFamily("mmbee_bundle", "1 for the bundle that serves.", labels=["bundle"])
        served.add_metric([bundle], 1)
        yield served
        age = _since(until, now)
        yield GaugeMetricFamily("mmbee_bundle_data_age_seconds", "Since the end of training.", age)
        on_board = len(scorer.board.everyone(now))
        yield GaugeMetricFamily("mmbee_board_authors", "Authors on the board.", on_board)
        newest = _since(scorer.board.newest(), now)
        yield GaugeMetricFamily(
            "mmbee_board_age_seconds", "Since the end of the board's newest segment.", newest
        )


def _since(moment: float | None, now: float) -> float:
    return math.nan if moment is None else now - moment
