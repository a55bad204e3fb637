"""Ablates GRCN on the small TikTok, where it ranks below popularity, on validation.

    python benchmarks/grcn.py --folder datasets/tiktok --seeds 2

All rows are trained with the settings that ``mmbee table 3 --tune`` found for GRCN.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.experiments.cells import seeds_of
from mmbee_plugin.experiments.training import prepared
from mmbee_plugin.recbole.config.tuned import read_tuning
from mmbee_plugin.recbole.models.grcn import GRCN
from mmbee_plugin.recbole.plugin import register_model
from mmbee_plugin.tables.ranking.run import with_protocol

TUNING = Path("recbole_configs/tuning/tiktok/GRCN.json")


class PartsOfGRCN(GRCN):
    """GRCN with switches: ``confident`` initialises rho to 1; ``ids_alone`` scores without content, which still refines
    edges; ``unrefined`` weights edges as LightGCN does."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.ids_alone, self.unrefined = config["ids_alone"], config["unrefined"]
        if config["confident"]:
            torch.nn.init.ones_(self.confidence)

    def encode(self) -> tuple[Tensor, Tensor]:
        users, items = super().encode()
        return (users[:, : self.width], items[:, : self.width]) if self.ids_alone else (users, items)

    def edge_weights(self, affinities: Tensor, present: Tensor) -> Tensor:
        if not self.unrefined:
            return super().edge_weights(affinities, present)
        degree = self.edges.degree
        return (degree[self.edges.senders] * degree[self.edges.receivers]).rsqrt()


ROWS: dict[str, dict[str, Any]] = {
    "GRCN": {},
    "four times the patience": {"stopping_step": 80},
    "confidence starts at 1": {"confident": True},
    "no content in the score": {"ids_alone": True},
    "both": {"confident": True, "ids_alone": True},
    "no content in the score, LightGCN's edges": {"ids_alone": True, "unrefined": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("datasets/tiktok"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = DatasetFolder(args.folder)
    print(folder.provenance())
    register_model(PartsOfGRCN, {"confident": False, "ids_alone": False, "unrefined": False})
    tuning = read_tuning(TUNING)
    if tuning is None:
        raise SystemExit(f"{TUNING} is not there: run this in the repository's folder")
    tuned = {**(tuning.chosen or {}), "train_batch_size": 4096}
    print("row | Recall@20 (seeds) | NDCG@20 (seeds) | epochs")
    runs = [(name, seed) for name in args.rows for seed in seeds_of(args.seeds)]
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in args.rows}
    for name, seed in track(runs, "training", transient=True):
        given = with_protocol(
            "PartsOfGRCN", folder, {**tuned, "stopping_step": 20, "epochs": 400, **ROWS[name]}
        )
        with prepared("PartsOfGRCN", args.folder, given, seed) as training:
            training.try_out(float("inf"))
            valid = training.valid
            found[name].append((valid["recall@20"], valid["ndcg@20"], len(training.epoch_seconds)))
        if seed == args.seeds:
            columns = list(zip(*found[name], strict=True))
            cells = [
                f"{mean(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})"
                for values in columns[:2]
            ]
            print(name, *cells, f"{mean(columns[2]):.0f}", sep=" | ", flush=True)


if __name__ == "__main__":
    main()
