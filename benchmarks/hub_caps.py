"""What caps on hubs cost on a seeded graph of TikTok's size: overlap with the exact lists, and processor seconds.

    python benchmarks/hub_caps.py --scale 0.25
    python benchmarks/hub_caps.py --exponent 1.0 --caps 1000 200

The graph is that of benchmarks/graph_stage.py; for a dataset `mmbee graph caps` prints the same. Hubs are the
authors with more users than the cap; on paths from users, overlap at hubs is that of users who gave to one.
"""

import argparse

from graph_stage import compile_kernels, draw

from mmbee_plugin.graph.caps import cap_costs
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.settings import GraphSettings


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--exponent", type=float, default=0.75, help="Zipf exponent over items (default %(default)s)")
    add("--scale", type=float, default=1.0, help="part of the full size (default %(default)s)")
    add(
        "--caps", type=int, nargs="+", default=[1000, 200], help="users of an item at most (default 1000 200)"
    )
    add("--seed", type=int, default=0)
    options = parser.parse_args()
    users, items, n_users, n_items = draw(options.scale, options.exponent, options.seed)
    compile_kernels()
    u2a = donation_graph(users, items, None, n_users, n_items)
    print(f"{n_users} users, {n_items} items, {u2a.nnz} edges, exponent {options.exponent}")
    print(f"{'cap':>8}{'hubs':>8}{'edges kept':>12}  {'path':<8}{'all':>8}{'hubs':>8}{'cpu s':>9}")
    for cost in cap_costs(u2a, GraphSettings(), options.caps):
        head = f"{cost.cap or 'none':>8}{cost.hubs:>8}{cost.edges:>12.2%}"
        print(f"{head}  {'swing':<24}{cost.seconds['swing']:>9.2f}")
        for path, share in cost.overlap.items():
            shares = f"{share:>8.3f}{cost.overlap_of_hubs[path]:>8.3f}"
            print(f"{'':>28}  {path:<8}{shares}{cost.seconds[path]:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
