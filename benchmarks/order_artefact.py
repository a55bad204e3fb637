"""Measures what the order of item ids reveals about held-out items, in a pre-split dataset folder without time.

    python benchmarks/order_artefact.py --folder datasets/tiktok

`mmbee data info` reports whether held-out items follow all of their user's training items. This prints the positions of
training and held-out items in the ``.item`` file, and the gain of a random walk on validation from a factor that grows
with an item's row.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from walks import favour

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.inspect.leaks import item_order
from mmbee_plugin.graph.donations import donation_graph, weigh
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.walks import Walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("datasets/tiktok"))
    args = parser.parse_args()
    folder = DatasetFolder(args.folder)
    print(folder.provenance())
    train, valid = folder.interactions("train"), folder.interactions("valid")
    n_users, n_items = folder.counts["users"], folder.counts["items"]
    if (order := item_order(train, valid, n_users, n_items)) is not None:
        print(order.line("valid"))
    degree = np.bincount(train.users, minlength=n_users)
    few = degree[train.users] <= 5
    print("share of pairs by position of the item in the file, in tenths:")
    for name, items in (
        ("training, users with up to 5", train.items[few]),
        ("training, users with more", train.items[~few]),
        ("validation", valid.items),
    ):
        share = np.bincount(items * 10 // n_items, minlength=10) / len(items)
        print(f"  {name:30}" + "".join(f"{value:7.3f}" for value in share))

    graph = weigh(donation_graph(train.users, train.items, None, n_users, n_items), "binary")
    walk = Walk(Metapath("uauaua"), graph)(valid.users)
    walk[graph[valid.users].toarray() > 0] = -np.inf
    print("recall@20 on validation of the walk u-a-u-a-u-a times exp(strength x row / items):")
    for strength in (0, 1, 2, 3, 4, 6):
        scores = walk * favour(np.arange(n_items), strength)
        target = scores[np.arange(len(valid.users)), valid.items]
        rank = (scores > target[:, None]).sum(axis=1)
        print(f"  {strength}: {(rank < 20).mean():.4f}")


if __name__ == "__main__":
    main()
