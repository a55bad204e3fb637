"""Memory and time of the users' histories, against RecBole's SequentialDataset.data_augmentation.

    python benchmarks/histories.py                         # 1,000,000 interactions, length 50
    python benchmarks/histories.py --interactions 100000

Each side runs in a process of its own on the same synthetic interactions (users by a Zipf law, distinct times), already
in memory as RecBole's columns: it prepares, then makes every training batch of one epoch once. `peak` is the highest
resident memory beyond that held before preparing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from mmbee_plugin.command.memory import peak_megabytes

BATCH = 2048


def columns(interactions: int) -> dict[str, torch.Tensor]:
    """user_id, item_id, timestamp of RecBole's interaction table, in the order of time."""
    rng = np.random.default_rng(0)
    n_users = max(interactions // 20, 1)
    users = 1 + (rng.zipf(1.3, interactions) + rng.integers(0, n_users, interactions)) % n_users
    items = rng.integers(1, 50_001, interactions)
    return {
        "user_id": torch.from_numpy(users),
        "item_id": torch.from_numpy(items),
        "timestamp": torch.arange(interactions, dtype=torch.float32),
    }


def resident(peak: bool) -> int:
    """Resident memory of this process in bytes, now or at its peak."""
    if peak:
        return round(peak_megabytes() * 1e6)
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()


def recbole_side(table: dict[str, torch.Tensor], length: int) -> tuple[float, float, int]:
    """RecBole's own augmentation, then batches by indexing: (seconds, seconds, rows)."""
    from logging import getLogger

    from recbole.data.dataset import SequentialDataset
    from recbole.data.interaction import Interaction
    from recbole.utils import FeatureSource, FeatureType

    dataset = SequentialDataset.__new__(
        SequentialDataset
    )  # without reading files: only the augmentation is timed
    dataset.config = {"LIST_SUFFIX": "_list", "MAX_ITEM_LIST_LENGTH": length, "numerical_features": []}
    dataset.logger = getLogger()
    dataset.max_item_list_len, dataset.item_list_length_field = length, "item_length"
    dataset.uid_field, dataset.iid_field, dataset.time_field = "user_id", "item_id", "timestamp"
    dataset.field2type = {
        "user_id": FeatureType.TOKEN,
        "item_id": FeatureType.TOKEN,
        "timestamp": FeatureType.FLOAT,
    }
    dataset.field2source = dict.fromkeys(dataset.field2type, FeatureSource.INTERACTION)
    dataset.field2seqlen = dict.fromkeys(dataset.field2type, 1)
    dataset.inter_feat = Interaction(table)

    start = time.perf_counter()
    dataset.data_augmentation()
    prepared = time.perf_counter()
    order = np.random.default_rng(1).permutation(len(dataset.inter_feat))
    for first in range(0, len(order), BATCH):
        dataset.inter_feat[order[first : first + BATCH]]
    return prepared - start, time.perf_counter() - prepared, len(order)


def our_side(table: dict[str, torch.Tensor], length: int) -> tuple[float, float, int]:
    """Histories, then batches by slicing: (seconds, seconds, rows)."""
    from mmbee_plugin.data.histories import Histories

    start = time.perf_counter()
    users, items = table["user_id"].numpy(), table["item_id"].numpy()
    histories = Histories(users, items, int(users.max()) + 1, times=table["timestamp"].numpy())
    prepared = time.perf_counter()
    rows = np.flatnonzero(histories.positions > 0)
    order = np.random.default_rng(1).permutation(rows)
    for first in range(0, len(order), BATCH):
        part = order[first : first + BATCH]
        histories.before(users[part], histories.positions[part], length, targets=items[part])
    return prepared - start, time.perf_counter() - prepared, len(order)


SIDES = {"RecBole, augmented": recbole_side, "mmbee, sliced": our_side}


def measure(side: str, interactions: int, length: int) -> dict[str, Any]:
    """Runs one side in this process."""
    table = columns(interactions)
    import recbole.data.dataset  # noqa: F401  (both sides start from the same imports)

    before = resident(peak=False)
    prepare, epoch, rows = SIDES[side](table, length)
    return {"prepare": prepare, "epoch": epoch, "rows": rows, "peak": resident(peak=True) - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interactions", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measure(args.side, args.interactions, args.length)))
        return

    print(f"{args.interactions:,} interactions, histories of {args.length}, batches of {BATCH:,}")
    print(f"{'':22}{'rows':>12}{'prepare s':>12}{'epoch s':>10}{'peak MB':>10}")
    results = {}
    for side in SIDES:
        command = [sys.executable, __file__, f"--side={side}"]
        command += [f"--interactions={args.interactions}", f"--length={args.length}"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        results[side] = found = json.loads(output.splitlines()[-1])
        print(
            f"{side:22}{found['rows']:>12,}{found['prepare']:>12.2f}{found['epoch']:>10.2f}"
            f"{found['peak'] / 1e6:>10,.0f}"
        )
    stock, ours = results.values()
    ratios = [stock[key] / ours[key] for key in ("prepare", "epoch", "peak")]
    print(f"{'ratio':34}{ratios[0]:>12.1f}{ratios[1]:>10.1f}{ratios[2]:>10.1f}")


if __name__ == "__main__":
    main()
