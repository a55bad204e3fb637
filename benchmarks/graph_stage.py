"""Times the graph stage on a seeded graph of TikTok's size, next to SciPy's products with an argpartition.

    python benchmarks/graph_stage.py
    python benchmarks/graph_stage.py --exponent 1.0 --max-users 1000

Prints wall seconds, processor seconds of all threads and peak memory of each stage, all in this process; the peak is
reset before each stage (on Linux). Compilation is timed apart, on a tiny graph. The alternative computes the same lists
for every n-th row on one thread; its seconds, and the size of the whole product it would store, are scaled up by n:
rough estimates, marked with a tilde, unless --every 1.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.command.memory import PeakMemory
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath
from mmbee_plugin.graph.swing import swing

USERS, ITEMS, DRAWS = 36_656, 76_085, 726_065


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--exponent", type=float, default=0.75, help="Zipf exponent over items (default %(default)s)")
    add("--max-users", type=int, default=None, help="hub cap of Swing (default none)")
    add("--top-k", type=int, default=50, help="neighbours kept a node (default %(default)s)")
    add("--scale", type=float, default=1.0, help="part of the full size (default %(default)s)")
    add("--every", type=int, default=256, help="rows of which SciPy computes one (default %(default)s)")
    add("--no-alternative", action="store_true", help="time the graph stage alone")
    add("--swing-only", action="store_true", help="stop after Swing")
    add("--seed", type=int, default=0)
    options = parser.parse_args()

    users, items, n_users, n_items = draw(options.scale, options.exponent, options.seed)
    start = time.perf_counter()
    compile_kernels()
    compiling = time.perf_counter() - start
    u2a, seconds, peak = measured(lambda: donation_graph(users, items, None, n_users, n_items))
    squares = sum(float(d) ** 2 for d in np.bincount(u2a.indices))
    print(f"{n_users} users, {n_items} items, {u2a.nnz} edges, sum of squared item degrees {squares:.3g}")
    print(f"compiling (or loading compiled code): {compiling:.1f} s, not in the table")
    compare = not options.no_alternative
    header = f"{'stage':<10}{'wall s':>9}{'cpu s':>9}{'peak MB':>9}"
    if compare:
        header += f"{'scipy cpu s':>13}{'cpu ratio':>11}  scipy's whole result"
        header += " (~: rough estimate)" if options.every > 1 else ""
    print(header)
    print(f"{'u2a':<10}{seconds[0]:>9.2f}{seconds[1]:>9.2f}{peak:>9}")
    totals, highest = np.array(seconds), peak
    a2a, seconds, peak = measured(lambda: swing(u2a, max_users=options.max_users))
    highest = max(highest, peak)
    mark = "~" if options.every > 1 else ""
    swing_of_scipy = (lambda: scipy_swing(u2a, options.every)) if compare else None
    totals += report("swing", seconds, peak, swing_of_scipy, mark)
    print(f"{'':<10}{a2a.nnz} entries" + (f", cap {options.max_users}" if options.max_users else ""))
    for name in () if options.swing_only else PAPER_METAPATHS:
        path = Metapath.parse(name)
        _, seconds, peak = measured(lambda path=path: expand(path, u2a, a2a, top_k=options.top_k))
        highest = max(highest, peak)
        totals += report(
            name,
            seconds,
            peak,
            (lambda path=path: scipy_expand(path, u2a, a2a, options.top_k, options.every))
            if compare
            else None,
            mark,
        )
    print(f"{'total':<10}{totals[0]:>9.2f}{totals[1]:>9.2f}{highest:>9}")
    print(f"total: {totals[0]:.2f} wall seconds, {totals[1]:.2f} processor seconds of all threads")
    if mark:
        print(f"~ estimated: SciPy computed one row in {options.every}; its seconds and result are scaled up")


def draw(scale: float, exponent: float, seed: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Interactions of TikTok's proportions, and the numbers of users and items."""
    n_users, n_items, draws = (int(size * scale) for size in (USERS, ITEMS, DRAWS))
    return *drawn(n_users, n_items, draws, exponent, seed), n_users, n_items


def drawn(n_users: int, n_items: int, draws: int, exponent: float, seed: int) -> list[np.ndarray]:
    """Users and items of interactions, drawn independently from Zipf laws, ids shuffled."""
    random = np.random.default_rng(seed)
    chosen = []
    for count, power in ((n_users, 0.5), (n_items, exponent)):
        chances = np.arange(1, count + 1) ** -power
        chosen.append(random.permutation(count)[random.choice(count, draws, p=chances / chances.sum())])
    return chosen


def compile_kernels() -> None:
    users, items, n_users, n_items = draw(0.002, 0.75, 0)
    u2a = donation_graph(users, items, None, n_users, n_items)
    a2a = swing(u2a)
    swing(u2a, max_users=2)
    for name in PAPER_METAPATHS:
        expand(Metapath.parse(name), u2a, a2a, top_k=5)


def measured(work: Callable[[], object]) -> tuple:
    """The result of ``work``, (wall, processor) seconds, and peak memory in MB (10^6 bytes)."""
    memory = PeakMemory()
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return result, seconds, round(memory.megabytes())


def report(
    name: str, seconds: tuple, peak: int, alternative: Callable[[], tuple] | None, mark: str
) -> np.ndarray:
    line = f"{name:<10}{seconds[0]:>9.2f}{seconds[1]:>9.2f}{peak:>9}"
    if alternative is not None:
        other, gigabytes = alternative()
        line += (
            f"{f'{mark}{other:.1f}':>13}{f'{mark}{other / seconds[1]:.1f}x':>11}  {mark}{gigabytes:.2f} GB"
        )
        if gigabytes > 8:
            line += ", more than 8 GB: never stored whole here"
    print(line, flush=True)
    return np.array(seconds)


def sampled(degrees: np.ndarray, every: int) -> np.ndarray:
    """Every n-th row by degree, so that the sample has its share of heavy rows."""
    return np.argsort(degrees, kind="stable")[every // 2 :: every]


def scipy_swing(u2a: csr_matrix, every: int) -> tuple[float, float]:
    """Processor seconds and gigabytes (10^9 bytes) of Swing for all authors, scaled up from a sample.

    With B the 0/1 rows of U2A of an author's users: column sums of B * (W B), where W = 1 / (1 + B B') elementwise.
    """
    edges = csr_matrix((np.ones(u2a.nnz, np.float32), u2a.indices, u2a.indptr), shape=u2a.shape)
    by_item = edges.T.tocsr()
    rows = sampled(np.diff(by_item.indptr), every)
    start, entries = time.process_time(), 0
    for item in rows:
        of_item = edges[by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]]
        pairs = (of_item @ of_item.T).tocsr()
        pairs.data = 1 / (1 + pairs.data)
        entries += np.count_nonzero((pairs @ of_item).multiply(of_item).sum(0))
    return scaled(start, entries, len(rows), by_item.shape[0])


def scipy_expand(
    path: Metapath, u2a: csr_matrix, a2a: csr_matrix, top_k: int, every: int
) -> tuple[float, float]:
    """Processor seconds and gigabytes for all start nodes, scaled up from a sample of argpartitioned product rows."""
    graphs = {"u2a": u2a, "a2u": u2a.T.tocsr(), "a2a": a2a}
    steps = []
    for step in path.steps:
        graph = graphs[step].astype(np.float64)
        graph.data /= np.repeat(np.maximum(np.asarray(graph.sum(1)).ravel(), 1e-300), np.diff(graph.indptr))
        steps.append(graph)
    rows = sampled(np.diff(steps[0].indptr), every)
    start, entries = time.process_time(), 0
    product = steps[0][rows]
    for step in steps[1:]:
        product = product @ step
    for row in range(len(rows)):
        scores = product.data[product.indptr[row] : product.indptr[row + 1]]
        if len(scores) > top_k:
            np.argpartition(-scores, top_k)
        entries += len(scores)
    return scaled(start, entries, len(rows), steps[0].shape[0])


def scaled(start: float, entries: int, done: int, total: int) -> tuple[float, float]:
    return (time.process_time() - start) * total / done, entries * total / done * 12 / 1e9


if __name__ == "__main__":
    main()
