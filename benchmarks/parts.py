"""Compares the graph stage in parts with one process: total processor seconds, and every file bit for bit.

    python benchmarks/parts.py --scale 0.25
    python benchmarks/parts.py --parts 8 --exponent 1.0 --reach 50

The graph has the size of the paper's TikTok times --scale, with Zipf users and items. One process builds the snapshot;
then N processes make a part each, --at-once of them at a time, and one merges them. Seconds are processor time of the
processes, compiled kernels and imports aside; a part's own is what it made, blocks of others that it needed included.
No node vectors are trained: they are the same work in one process either way.
"""

import argparse
import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from graph_stage import DRAWS, ITEMS, USERS, compile_kernels, drawn

from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.folder import Parts
from mmbee_plugin.graph.parts.merge import merge
from mmbee_plugin.graph.parts.part import make_part
from mmbee_plugin.graph.settings import GraphSettings, Interactions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--parts", type=int, nargs="+", default=[1, 3, 8], help="numbers of parts (default 1 3 8)")
    add("--scale", type=float, default=1.0, help="part of the full size (default %(default)s)")
    add("--exponent", type=float, default=0.75, help="Zipf exponent over items (default %(default)s)")
    add("--normalisation", choices=["row", "symmetric"], default="row")
    add("--reach", type=int, default=0, help="authors of the long walk's lists (default none)")
    add("--cap", type=int, help="users of an author at most, in Swing and in walks")
    add("--at-once", type=int, default=2, help="processes at a time (default %(default)s)")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sizes = [int(size * options.scale) for size in (USERS, ITEMS, DRAWS)]
    users, items = drawn(*sizes, options.exponent, 0)
    settings = GraphSettings(
        normalisation=options.normalisation,
        reach_top_k=options.reach,
        swing_max_users=options.cap,
        walk_max_users=options.cap,
    )
    inputs = Inputs(Interactions(users, items, None, *sizes[:2]), settings)
    compile_kernels()
    warm(settings)
    edges = len(np.unique(users * sizes[1] + items))
    print(f"{sizes[0]:,} users x {sizes[1]:,} items, {edges:,} edges, exponent {options.exponent}")
    print(
        f"{'parts':>8}{'plans, joins, blocks':>22}{'longest':>9}{'merge':>8}{'all':>8}{'ratio':>8}{'peak MB':>9}"
    )
    with tempfile.TemporaryDirectory() as place:
        whole, folder = Path(place, "whole"), Path(place, "parts")
        [(seconds, peak)] = run([partial(build_snapshot, inputs, whole)], 1)
        print(f"{'none':>8}{'':>39}{seconds:>8.2f}{'':>8}{peak:>9,}", flush=True)
        for count in options.parts:
            parts = Parts.create(inputs, folder, count)
            made = run([partial(make_part, parts, part) for part in range(count)], options.at_once)
            merged = run([partial(merge, inputs, folder, n_parts=count)], 1)
            each = [part for part, _ in made]
            total = sum(each) + merged[0][0]
            equal = "equal" if hashes(whole) == hashes(folder) else "DIFFERENT"
            print(
                f"{count:>8}{sum(each):>22.2f}{max(each):>9.2f}{merged[0][0]:>8.2f}{total:>8.2f}"
                f"{total / seconds:>7.2f}x{max(peak for _, peak in made + merged):>9,}  {equal}",
                flush=True,
            )
            for path in folder.rglob("*.npy"):
                path.unlink()
            for path in folder.rglob("manifest.json"):
                path.unlink()


def warm(settings: GraphSettings) -> None:
    """Loads all kernels, so that forked processes have them."""
    users, items = drawn(300, 600, 6_000, 0.75, 0)
    inputs = Inputs(Interactions(users, items, None, 300, 600), settings)
    with tempfile.TemporaryDirectory() as place:
        make_part(Parts.create(inputs, Path(place), 1), 0)
        merge(inputs, Path(place))


def run(works: list[Callable[[], object]], at_once: int) -> list[tuple[float, int]]:
    """Runs each in a process of its own; returns their processor seconds and peak MB."""
    found: dict[int, tuple[float, int]] = {}
    running: dict[int, int] = {}
    waiting = list(enumerate(works))
    while waiting or running:
        while waiting and len(running) < at_once:
            place, work = waiting.pop(0)
            process = os.fork()
            if process == 0:
                status = 1
                try:
                    work()
                    status = 0
                finally:
                    os._exit(status)
            running[process] = place
        process, status, usage = os.wait3(0)
        if status:
            raise SystemExit(f"process {running[process] + 1} ended with status {status}")
        found[running.pop(process)] = usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1000
    return [found[place] for place in range(len(works))]


def hashes(root: Path) -> dict[str, str]:
    """sha256 of the arrays of the only snapshot in a folder."""
    [manifest] = root.glob("*/manifest.json")
    return {
        str(path.relative_to(manifest.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in manifest.parent.rglob("*.npy")
    }


if __name__ == "__main__":
    main()
