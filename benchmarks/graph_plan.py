"""Checks `mmbee graph plan` against measured runs of the graph stage, or fits its costs of operations to them.

    python benchmarks/graph_plan.py --gifts 1e5 1e6
    python benchmarks/graph_plan.py --gifts 5e4 2e5 5e5 --caps 0 300 --fit

Each run draws a graph of a shape, users and authors a gift, and times each stage; predicted and measured stand side by
side, in processor seconds and in megabytes of lists. The peak is the process's. --fit prints the costs that make the
squared relative errors of all stages and runs least, for mmbee_plugin/graph/plan.py. Cap 0 is none.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np
from graph_stage import DRAWS, ITEMS, USERS, compile_kernels, drawn, measured
from scipy.optimize import lsq_linear
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.content import ContentVectors, content_neighbours
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, POSITIVES, Metapath, in_turn
from mmbee_plugin.graph.plan import COSTS, Stage, plan
from mmbee_plugin.graph.population import Population
from mmbee_plugin.graph.swing import swing
from mmbee_plugin.offline.node_vectors import GraphCLSettings, train_graphcl

SHAPES = {"tiktok": (USERS / DRAWS, ITEMS / DRAWS), "live": (1.0, 0.01)}
"""users and authors a gift"""
CYCLE = 0.3
"""nanoseconds"""
AT_ONCE = {"feature": 8}
"""operations of a cycle, in vector instructions"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--gifts", type=float, nargs="+", default=[1e5, 1e6], help="sizes of the runs (default 1e5 1e6)")
    add(
        "--shapes",
        choices=SHAPES,
        nargs="+",
        default=list(SHAPES),
        help="users and authors a gift (default all)",
    )
    add("--exponents", type=float, nargs="+", default=[0.75, 1.0], help="of authors (default 0.75 1.0)")
    add("--caps", type=int, nargs="+", default=[0], help="users of an author at most (default 0, none)")
    add(
        "--content",
        type=int,
        nargs="+",
        default=[],
        metavar="WIDTH",
        help="of features, for neighbours by content",
    )
    add("--fit", action="store_true", help="fit the costs of operations")
    add("--seed", type=int, default=0)
    options = parser.parse_args()
    compile_kernels()
    found: list[tuple[Stage, float]] = []
    head = f"{'shape':<8}{'gifts':>9}{'exponent':>9}{'cap':>6}"
    print(
        f"{head}  {'stage':<9}{'cpu s':>9}{'planned':>9}{'ratio':>7}{'MB out':>9}{'planned':>9}{'peak MB':>9}"
    )
    for shape, gifts, exponent, cap in product(
        options.shapes, options.gifts, options.exponents, options.caps
    ):
        sums = [0.0, 0.0]
        head = f"{shape:<8}{gifts:>9.0f}{exponent:>9}{cap:>6}"
        made = runs(shape, int(gifts), exponent, cap or None, options.content, options.seed)
        for stage, seconds, size, peak in made:
            found.append((stage, seconds))
            sums = [sums[0] + seconds, sums[1] + stage.seconds]
            line = f"{head}  {stage.name:<9}{compared(seconds, stage.seconds)}"
            print(f"{line}{size / 1e6:>9.1f}{stage.output / 1e6:>9.1f}{peak:>9}", flush=True)
        print(f"{head}  {'all':<9}{compared(*sums)}")
    if options.fit:
        fit(found)


def compared(seconds: float, planned: float) -> str:
    return f"{seconds:>9.2f}{planned:>9.2f}{planned / seconds:>7.2f}"


def runs(
    shape: str, gifts: int, exponent: float, cap: int | None, content: list[int], seed: int
) -> Iterator[tuple[Stage, float, int, int]]:
    """Each stage as planned, its processor seconds, bytes of its lists and peak MB."""
    n_users, n_items = (int(gifts * part) for part in SHAPES[shape])
    users, items = drawn(n_users, n_items, gifts, exponent, seed)
    u2a = donation_graph(users, items, None, n_users, n_items)
    people = Population(n_users, n_items, gifts, exponent)
    stages = {stage.name: stage for stage in plan(people, cap, passes=2)}
    sample = capped(u2a, cap)
    a2a, seconds, peak = measured(lambda: swing(u2a, max_users=cap))
    yield stages["swing"], seconds[1], 8 * a2a.nnz, peak
    expansion, lists = Expansion(u2a, a2a, sample=sample), {}
    for name in in_turn(PAPER_METAPATHS):
        path = Metapath.parse(name)
        lists[name], seconds, peak = measured(lambda path=path: expansion.lists(path, 50))
        yield stages[name], seconds[1], lists[name].entries.nbytes, peak
    positives = [lists[name].along(name) for name in POSITIVES.values()]
    tables, seconds, peak = measured(lambda: train_graphcl(u2a, *positives, GraphCLSettings(epochs=2), seed))
    yield stages["nodes"], seconds[1], sum(table.nbytes for table in tables), peak
    for width in content:
        *_, stage = plan(people, cap, content_width=width)
        features = np.random.default_rng(seed).normal(size=(n_items, width)).astype(np.float32)
        columns = {"drawn": Attributes(features, np.ones(n_items, dtype=bool))}
        nearest(columns, stop=1)  # compiled
        steps, seconds, peak = measured(partial(nearest, columns))
        yield stage, seconds[1], 12 * steps.nnz, peak


def nearest(columns: dict[str, Attributes], stop: int | None = None) -> csr_matrix:
    """The first rows of neighbours by content, from the features on."""
    return content_neighbours(ContentVectors.of(columns), 10, 5.0, 0, stop)


def fit(found: list[tuple[Stage, float]]) -> None:
    """Prints the costs, at least a cycle each or in vector instructions part of one, with the least squared relative
    errors; stages below .05 s are noise."""
    kept = [(stage, seconds) for stage, seconds in found if seconds >= 0.05]
    names = [name for name in COSTS if any(stage.operations.get(name) for stage, _ in kept)]
    counts = np.array([[stage.operations.get(name, 0.0) for name in names] for stage, _ in kept])
    seconds = np.array([seconds for _, seconds in kept])
    scale = np.maximum(counts.max(axis=0), 1)
    cycles = 1 / np.array([AT_ONCE.get(name, 1) for name in names])
    least = CYCLE * cycles * 1e-9 * scale, np.full(len(scale), np.inf)
    costs = lsq_linear(counts / scale / seconds[:, None], np.ones(len(kept)), least).x
    for name, cost in zip(names, costs / scale * 1e9, strict=True):
        print(f'    "{name}": {cost:.3g},')


if __name__ == "__main__":
    main()
