"""The graph stage on a cluster: blocks of rows (:mod:`~mmbee_plugin.graph.parts`) are made by executors.

The driver plans a step and joins its blocks; executors map what the block reads from the folder of parts, which every
machine has under the same path, and write the block into it. A block that is there is not made again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmbee_plugin.graph.build import stored
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.folder import Parts, make_block
from mmbee_plugin.graph.parts.merge import merge
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.logs.graph import Make
from mmbee_plugin.spark.tasks import each_on

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BLOCKS_PER_CORE = 4
"""of a step: work is predicted, and cores that finish early take another block (`benchmarks/spark.py` measures what
blocks cost)"""


def snapshots_on(spark: SparkSession, n_parts: int | None = None) -> Make:
    """Makes snapshots as :func:`~mmbee_plugin.graph.build.build` does, on the executors of a session.

    Args:
        spark: the session.
        n_parts: blocks of a step; by default as many as an earlier try began with, else four for each core.
    """

    def make(inputs: Inputs, root: Path, progress: Callable[[str], None] | None = None) -> Snapshot:
        show = progress or (lambda stage: None)
        root = root.absolute()
        if (found := stored(inputs, root, progress)) is not None:
            return found
        begun = [int(place.name.rpartition("-")[2]) for place in root.glob(f"{inputs.key}.parts-*")]
        count = n_parts or (max(begun) if begun else BLOCKS_PER_CORE * spark.sparkContext.defaultParallelism)
        parts = Parts.create(inputs, root, count)
        for step in parts.steps:
            parts.prepare(step, progress)
            if missing := parts.missing(step):
                show(what := f"{step}: {len(missing)} blocks")
                spark.sparkContext.setJobDescription(what)
                each_on(spark)(len(missing), _maker(parts.path, step, missing))
        return merge(inputs, root, n_parts=count, progress=progress)

    return make


def _maker(path: Path, step: str, blocks: list[int]) -> Callable[[int], None]:
    def make(number: int) -> None:
        block = blocks[number]
        Parts.open(path).keep(step, block, make_block(path, step, block))

    return make
