"""What a refresh costs on a seeded graph of TikTok's size: overlap with the exact lists, and processor seconds.

    python benchmarks/refresh.py --scale 0.25
    python benchmarks/refresh.py --scale 0.1 --shares 0.01 --days 6

The graph is that of benchmarks/graph_stage.py. Its last gifts are the new ones: a share of those before, a day, for so
many days, each refreshed from the day before. Overlap is the share of a node's exact list that is in its refreshed one:
of all nodes, and of those that keep an earlier list. For a dataset `mmbee graph build
--refresh=touched --compare` prints the same. Swing is done in full by both.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator

import numpy as np
from graph_stage import compile_kernels, draw

from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.refresh import Refresh
from mmbee_plugin.graph.refresh_cost import SWING, RefreshCost, refresh_costs
from mmbee_plugin.graph.settings import GraphSettings, Interactions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--exponent", type=float, default=0.75, help="Zipf exponent over items (default %(default)s)")
    add("--scale", type=float, default=1.0, help="part of the full size (default %(default)s)")
    add("--shares", type=float, nargs="+", default=[0.01, 0.05], help="new gifts a day (default 0.01 0.05)")
    add("--days", type=int, default=1, help="refreshed in a row (default %(default)s)")
    add("--seed", type=int, default=0)
    options = parser.parse_args()
    users, items, n_users, n_items = draw(options.scale, options.exponent, options.seed)
    compile_kernels()
    for _ in of_days(np.arange(40) % 7, np.arange(40) % 5, (7, 5), 0.1, 1):
        pass
    print(f"{n_users} users, {n_items} items, {len(users)} gifts, exponent {options.exponent}")
    print(
        f"{'new':>6}{'day':>5}  {'path':<9}{'refreshed':>10}{'all':>8}{'kept':>8}{'cpu s':>9}{'rebuild':>9}{'ratio':>7}"
    )
    for share in options.shares:
        spent = np.zeros(2)
        for day, cost in of_days(users, items, (n_users, n_items), share, options.days):
            seconds = np.array([cost.seconds, cost.exact_seconds])
            shown = f"{'':>26}"
            if cost.path == SWING:
                spent = np.zeros(2)
            else:
                shown = f"{cost.refreshed:>10.1%}{cost.overlap:>8.3f}{cost.overlap_of_kept:>8.3f}"
            spent += seconds
            print(f"{share:>6.0%}{day:>5}  {cost.path:<9}{shown}{of_both(seconds)}", flush=True)
            if cost.path == GraphSettings().metapaths[-1]:
                print(f"{share:>6.0%}{day:>5}  {'all':<9}{'':>26}{of_both(spent)}", flush=True)


def of_days(
    users: np.ndarray, items: np.ndarray, counts: tuple[int, int], share: float, n_days: int
) -> Iterator[tuple[int, RefreshCost]]:
    """Builds the first day, and refreshes each of ``n_days`` from the one before it: (day, cost) by metapath."""
    settings, same = GraphSettings(), tuple(np.arange(count) for count in counts)
    known = [round(len(users) / (1 + share) ** day) for day in range(n_days, -1, -1)]
    with tempfile.TemporaryDirectory() as place:
        snapshot = None
        for day, count in enumerate(known):
            gifts = Interactions(users[:count], items[:count], None, *counts)
            refresh = None if snapshot is None else Refresh(snapshot, *same)
            snapshot = build(gifts, settings, place, refresh=refresh)
            if refresh is not None:
                for cost in refresh_costs(snapshot.u2a(), settings, refresh):
                    yield day, cost


def of_both(seconds: np.ndarray) -> str:
    """Processor seconds of the refresh and the rebuild, and their ratio."""
    return f"{seconds[0]:>9.2f}{seconds[1]:>9.2f}{seconds[0] / seconds[1]:>7.2f}"


if __name__ == "__main__":
    main()
