"""Times the graph stage against an earlier commit's, in one run, and compares every list bit for bit.

    python benchmarks/offline.py
    python benchmarks/offline.py --exponent 1.0
    python benchmarks/offline.py --graph shared --paths u2a2u,u2a2u2a,u2a2a
    python benchmarks/offline.py --normalisation symmetric

Two processes hold the same seeded graph, one with the package of this tree, one with that of the other commit (unpacked
by git). They run each part in turn, so that noise of the machine meets both. Printed are processor seconds of all
threads, the lowest of the repeats, their ratio, stored entries, peak memory of the processes, and whether the results
are equal to the last bit. Kernels are compiled ahead, on a small graph.

Graphs: ``tiktok`` has the size of the paper's, with Zipf users (exponent .5) and items (``--exponent``); ``shared`` has
1e6 users with .32 gifts each over 20,000 authors, most givers with one gift; ``file`` reads ``users`` and ``authors``,
rows of interactions, from an ``.npz``.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

OLD = "109d704"
PATHS = "u2a2u,u2a2u2a,u2a2a,a2a,a2u2a"
SIZES = {"tiktok": (36_656, 76_085, 726_065), "shared": (1_000_000, 20_000, 320_000)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--graph", choices=[*SIZES, "file"], default="tiktok")
    add("--file", type=Path, help="with --graph file: .npz with users and authors, by row")
    add("--exponent", type=float, default=0.75, help="Zipf exponent over items (default %(default)s)")
    add("--scale", type=float, default=1.0, help="part of the full size (default %(default)s)")
    add("--normalisation", choices=["row", "symmetric"], default="row")
    add("--paths", default=PATHS, help="default %(default)s")
    add("--top-k", type=int, default=50)
    add("--repeats", type=int, default=3)
    add("--against", default=OLD, help="the other commit (default %(default)s)")
    add("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        serve(options)
        return
    here = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as place:
        archive = ["git", "-C", str(here), "archive", options.against, "mmbee_plugin"]
        packed = subprocess.run(archive, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=BytesIO(packed)) as unpacked:
            unpacked.extractall(place, filter="data")
        sides = [start(str(side)) for side in (place, here)]
        compare(sides, options)


def start(package: str) -> subprocess.Popen[str]:
    """This program again, as the process that runs one side."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", package]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(side: subprocess.Popen[str], part: str) -> dict[str, Any]:
    assert side.stdin is not None and side.stdout is not None
    print(part, file=side.stdin, flush=True)
    return json.loads(side.stdout.readline())


def compare(sides: list[subprocess.Popen[str]], options: argparse.Namespace) -> None:
    print(ask(sides[0], "graph")["said"], ask(sides[1], "graph")["said"][:0], sep="")
    print(f"{'part':<10}{options.against:>12}{'this tree':>12}{'ratio':>8}{'entries':>9}  bits")
    totals = np.zeros(2)
    for part in ["swing", *options.paths.split(",")]:
        seconds, answers = np.full(2, np.inf), [{}, {}]
        for _ in range(options.repeats):
            for place, side in enumerate(sides):
                answers[place] = ask(side, part)
                seconds[place] = min(seconds[place], answers[place]["seconds"])
        totals += seconds
        stored = answers[1]["entries"] / max(answers[0]["entries"], 1)
        equal = "equal" if answers[0]["hash"] == answers[1]["hash"] else "DIFFERENT"
        print(row(part, seconds) + f"{stored:>8.2f}x  {equal}", flush=True)
    print(row("all", totals))
    memory = [ask(side, "memory")["megabytes"] for side in sides]
    print(f"peak memory, MB: {memory[0]:,} and {memory[1]:,}")
    for side in sides:
        side.communicate()


def row(part: str, seconds: np.ndarray) -> str:
    return f"{part:<10}{seconds[0]:>12.2f}{seconds[1]:>12.2f}{seconds[0] / seconds[1]:>7.2f}x"


def serve(options: argparse.Namespace) -> None:
    """Runs the parts that are read from the standard input, one a line, and answers each with a line of JSON."""
    sys.path.insert(0, options.side)
    side = Side(options)
    side.warm()
    for line in sys.stdin:
        print(json.dumps(side.run(line.strip())), flush=True)


class Side:
    """One side's graphs; imports the package that stands first on the path."""

    def __init__(self, options: argparse.Namespace) -> None:
        from mmbee_plugin.graph.donations import donation_graph
        from mmbee_plugin.graph.swing import swing

        self.options, self.make, self.swing = options, donation_graph, swing
        self.packed: Any = None

    def warm(self) -> None:
        self.draw(0.05 * min(1.0, self.options.scale) if self.options.graph != "file" else 1.0)
        self.packed = None
        for part in ["swing", *self.options.paths.split(",")]:
            self.run(part)
        self.draw(self.options.scale)

    def draw(self, scale: float) -> None:
        options = self.options
        if options.graph == "file":
            arrays = np.load(options.file)
            users, items = arrays["users"], arrays["authors"]
            self.u2a = self.make(users, items, None, users.max() + 1, items.max() + 1)
        else:
            random = np.random.default_rng(0)
            n_users, n_items, draws = (int(size * scale) for size in SIZES[options.graph])
            chosen = []
            for count, power in ((n_users, 0.5), (n_items, options.exponent)):
                chances = np.arange(1, count + 1) ** -power
                chosen.append(
                    random.permutation(count)[random.choice(count, draws, p=chances / chances.sum())]
                )
            self.u2a = self.make(*chosen, None, n_users, n_items)
        self.a2a: Any = None

    def run(self, part: str) -> dict[str, Any]:
        if part == "graph":
            gifts = np.diff(self.u2a.indptr)
            one = (gifts == 1).sum() / max((gifts > 0).sum(), 1)
            users, items = self.u2a.shape
            return {
                "said": f"{users:,} users, {items:,} items, {self.u2a.nnz:,} edges; {one:.0%} of givers have one"
            }
        if part == "memory":
            return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000}
        begin = time.process_time()
        if part == "swing":
            self.packed = None
            self.a2a = self.swing(self.u2a)
            seconds = time.process_time() - begin
            arrays = self.a2a.indptr.astype(np.int64), self.a2a.indices.astype(np.int32), self.a2a.data
            return {"seconds": seconds, "entries": self.a2a.nnz, "hash": digest(arrays)}
        stored, whole = self.lists(part)
        seconds = time.process_time() - begin
        lists = whole()
        return {
            "seconds": seconds,
            "entries": stored,
            "hash": digest((lists.indptr, lists.ids, lists.weights)),
        }

    def lists(self, name: str) -> tuple[int, Any]:
        """Number of stored entries of a metapath's lists, and a function that reads all nodes' lists."""
        from mmbee_plugin.graph.metapaths import Metapath

        path, options = Metapath.parse(name), self.options
        try:
            from mmbee_plugin.graph.expansion import Expansion
        except ImportError:  # the other commit, or one before lists were packed
            from mmbee_plugin.graph.metapaths import expand

            found = expand(path, self.u2a, self.a2a, top_k=options.top_k, normalisation=options.normalisation)
            return len(found.ids), lambda: found
        # An expansion of its own: nothing is taken from an earlier path, as on the other side.
        packed = Expansion(self.u2a, self.a2a, options.normalisation).lists(path, options.top_k)
        return len(packed.entries), packed.along(name).all


def digest(arrays: tuple[np.ndarray, ...]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


if __name__ == "__main__":
    main()
