"""Times a model's full ranking against scoring every (user, item) pair through ``predict``, with the same weights.

    python benchmarks/full_ranking.py --dataset=tiktok --users 256 --pairs-of 8
    python benchmarks/full_ranking.py --dataset=tiktok --backbone=sim
    python benchmarks/full_ranking.py --dataset=tiktok --model=DIN     # RecBole's own class, ranked by recbole/din.py

Both are reported per user; scoring every pair is timed on a few users. Prints the largest difference of the scores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from recbole.data import data_preparation
from recbole.utils import get_model, init_seed

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.recbole.training.din import give_full_ranking


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="MMBee")
    parser.add_argument("--dataset", default="tiktok")
    parser.add_argument("--data-path", type=Path, default=Path("datasets"))
    parser.add_argument("--users", type=int, default=256, help="users ranked in full")
    parser.add_argument("--pairs-of", type=int, default=8, help="users whose pairs go through predict")
    args, rest = parser.parse_known_args()
    folder = ensure(args.dataset, args.data_path)
    config = build_config(args.model, folder, given_settings(None, rest))
    init_seed(config["seed"], True)
    train, valid, _ = data_preparation(config, MMBeeDataset(config))
    model = get_model(args.model)(config, train.dataset).to(config["device"])
    for parameter in model.parameters():  # some parts start at zero: noise makes all contribute
        parameter.data.add_(torch.randn_like(parameter) * 0.01)
    model.eval()
    give_full_ranking(model)
    batch = next(iter(valid))[0]
    batch = batch[torch.arange(min(args.users, len(batch)))]
    few = batch[torch.arange(args.pairs_of)]

    with torch.no_grad():
        start = time.perf_counter()
        ranked = model.full_sort_predict(batch.to(config["device"])).view(len(batch), -1)
        full = (time.perf_counter() - start) / len(batch)
        start = time.perf_counter()
        pairs = few.to(config["device"]).repeat_interleave(model.n_items)
        pairs[model.ITEM_ID] = torch.arange(model.n_items, device=config["device"]).repeat(args.pairs_of)
        size = config["eval_batch_size"]
        scores = [
            model.predict(pairs[torch.arange(i, min(i + size, len(pairs)))])
            for i in range(0, len(pairs), size)
        ]
        by_pair = (time.perf_counter() - start) / args.pairs_of
    difference = (torch.cat(scores).view(args.pairs_of, -1) - ranked[: args.pairs_of]).abs().max()
    print(folder.provenance())
    print(f"{'':24}{'users':>8}{'ms a user':>12}{'ratio':>8}")
    print(f"{'predict, every pair':24}{args.pairs_of:>8}{by_pair * 1e3:>12.2f}{1:>8.1f}")
    print(f"{'full ranking':24}{len(batch):>8}{full * 1e3:>12.2f}{by_pair / full:>8.1f}")
    print(f"largest difference of the scores: {difference:.1e}")


if __name__ == "__main__":
    main()
