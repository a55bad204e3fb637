"""Time and memory of the stages of a build."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

from mmbee_plugin.command.memory import peak_megabytes

PEAK = "peak_megabytes_so_far"
"""key of a record's peak memory"""


class Spent(NamedTuple):
    """What a stage cost in other processes: their seconds together, and the peak of one in MB."""

    seconds: float = 0.0
    megabytes: float = 0.0


class Stages:
    """Records time and peak memory of each stage.

    Args:
        progress: called with the name of each stage as it starts.
        spent: what stages have cost already.

    Attributes:
        records: of the stages, as a snapshot's manifest holds them.
    """

    def __init__(
        self,
        progress: Callable[[str], None] | None = None,
        spent: Mapping[str, Spent] = MappingProxyType({}),
    ) -> None:
        self.progress, self.spent = progress, spent
        self.records: list[dict[str, object]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Reports the start of a stage to ``progress`` and records its time and peak memory."""
        if self.progress is not None:
            self.progress(name)
        start, spent = time.perf_counter(), self.spent.get(name, Spent())
        yield
        seconds = round(time.perf_counter() - start + spent.seconds, 3)
        peak = round(max(peak_megabytes(), spent.megabytes))
        self.records.append({"stage": name, "seconds": seconds, PEAK: peak})
