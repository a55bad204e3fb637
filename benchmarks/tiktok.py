"""How good: the table of MMBee, its baselines, popularity and the plain walks on the real TikTok, with intervals.

    mmbee data convert hkuds SRC datasets/tiktok
    python benchmarks/tiktok.py --split valid                     # what settings are chosen on
    python benchmarks/tiktok.py --split test --seeds 1 2 3        # the table, once the settings stand
    python benchmarks/tiktok.py --split valid --ablate            # MMBee with one part switched at a time

Every model runs through the same dataset class: one split, one mask (training items), one set of users. Settings
are those of ``recbole_configs/tiktok.yaml``. Per-user metrics are averaged over the seeds; intervals and paired tests
are bootstrapped over users. Finished cells are kept in ``--cells`` and not run again.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from ablations import ABLATIONS
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from walks import WALKS, Walk, favour

from mmbee_plugin import bootstrap
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.popularity import popularity_places
from mmbee_plugin.recbole.dataset import MMBeeDataset
from mmbee_plugin.recbole.options import dataset_settings, given_settings, merged
from mmbee_plugin.recbole.ranking import per_user_metrics
from mmbee_plugin.recbole.run import build_config, run_log
from mmbee_plugin.recbole.trainer import resumable
from mmbee_plugin.tables.cells import Cell, CellStore, Job
from mmbee_plugin.tables.pool import make_cells, missing_jobs
from mmbee_plugin.tables.progress import cell_bar
from mmbee_plugin.tables.run import state_of_the_code

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
SPLITS = ("valid", "test")
UNTRAINED = (*WALKS, "MostPop")
"""models that only count, and have no seed"""
ROWS: dict[str, tuple[str, list[str]]] = {
    **{model: (model, []) for model in (*UNTRAINED, "BPR", "LightGCN", "SIM", "MMBee")},
    "MMBee, row order random": ("MMBee", ["--row_order=random"]),
}


def popularity_scores(dataset: MMBeeDataset) -> Callable[[object], torch.Tensor]:
    """Scores every user alike, by the items' number of training interactions.

    RecBole's Pop is something else: it counts an item once a batch.
    """
    rows = dataset.item_rows[dataset.inter_feat[dataset.iid_field].numpy()]
    place = popularity_places(rows, dataset.item_num - 1)
    scores = -torch.from_numpy(place[dataset.item_rows]).double()  # of padding anything
    return lambda interaction: scores.repeat(len(interaction), 1)


def walk_scores(dataset: MMBeeDataset, rounds: int, order: float) -> Callable[[object], torch.Tensor]:
    """Scores a batch of users by a walk, with items late in the file favoured by ``order``."""
    users = dataset.inter_feat[dataset.uid_field].numpy()
    items = dataset.inter_feat[dataset.iid_field].numpy()
    walk = Walk(users, items, dataset.user_num, dataset.item_num)
    factor = favour(dataset.item_rows, order)

    def score(interaction) -> torch.Tensor:
        return torch.from_numpy(walk(interaction[dataset.uid_field].numpy(), rounds) * factor)

    return score


def recbole_name(model: str) -> str:
    """The model of RecBole's registry whose settings and data a row has; one without settings for the untrained."""
    return "Pop" if model in UNTRAINED else model


def run_cell(model: str, path: Path, settings: dict, seed: int) -> Cell:
    """Trains one model with one seed; per split the users and one value a user of each metric."""
    name = recbole_name(model)
    config = build_config(name, DatasetFolder(path), {**settings, "seed": seed, "show_progress": False})
    with run_log(config, quiet=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        init_seed(seed, True)
        train, valid, test = data_preparation(config, MMBeeDataset(config))
        if model == "MostPop":
            score = popularity_scores(train._dataset)
        elif model in WALKS:
            score = walk_scores(train._dataset, *WALKS[model])
        else:
            init_seed(seed, True)
            network = get_model(name)(config, train._dataset).to(config["device"])
            trainer = resumable(get_trainer(config["MODEL_TYPE"], name))(config, network)
            trainer.fit(train, valid, verbose=False, saved=True, show_progress=False)
            trainer.evaluate(valid, load_best_model=True)  # puts the best epoch's weights back
            network.eval()

            def score(interaction) -> torch.Tensor:
                return network.full_sort_predict(interaction.to(config["device"]))

        found = {}
        for split, loader in zip(SPLITS, (valid, test), strict=True):
            found[f"{split} users"], values = per_user_metrics(score, loader)
            found |= {f"{split} {metric}": values[metric] for metric in METRICS}
    return Cell(found)


def job(row: str, model: str, folder: DatasetFolder, settings: dict, seed: int) -> Job:
    """One row's training with one seed."""
    chosen = {} if model in UNTRAINED else dataset_settings(folder.name, model, is_sample=False)
    counts = ["mmbee_plugin.data.popularity"] if model == "MostPop" else []
    code = state_of_the_code(recbole_name(model), "mmbee_plugin.recbole.ranking", *counts)
    key = {"kind": "ranking 1", "data": folder.hash, "model": model, "seed": seed, **code}
    return Job(
        f"{row}, seed {seed}",
        {**key, "settings": merged(chosen, settings)},
        run_cell,
        (model, folder.path, settings, seed),
    )


def rows_of_users(
    rows: dict[str, tuple[str, dict]],
    folder: DatasetFolder,
    split: str,
    seeds: list[int],
    kept: Path,
    jobs: int,
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Every row's metrics averaged over its seeds; finished cells come from files."""
    store = CellStore(kept)
    todo = [
        (row, job(row, model, folder, settings, seed))
        for row, (model, settings) in rows.items()
        for seed in ([0] if model in UNTRAINED else seeds)
    ]
    missing = len(missing_jobs([each for _, each in todo], store))
    with cell_bar(missing, len(todo) - missing, jobs) as show:
        made = make_cells([each for _, each in todo], store, jobs, show)
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for (row, _), cell in zip(todo, made, strict=True):
        own = {
            name.removeprefix(f"{split} "): values
            for name, values in cell.arrays.items()
            if name.startswith(split)
        }
        found.setdefault(row, []).append(own)
    for row, parts in found.items():
        order = [np.argsort(part["users"]) for part in parts]
        values = {m: np.mean([p[m][o] for p, o in zip(parts, order, strict=True)], axis=0) for m in METRICS}
        spread = {f"{m} spread": np.ptp([p[m].mean() for p in parts]) for m in METRICS}
        yield row, {**values, **spread}


def print_table(table: dict[str, dict[str, np.ndarray]], reference: str) -> None:
    """Means with their standard error, the spread over seeds, and paired differences to the reference row."""
    n = len(table[reference][METRICS[0]])
    print(f"{n} users with a positive; mean ± standard error over users (largest - smallest seed)")
    print(f"| | {' | '.join(METRICS)} |\n| --- | --- | --- | --- | --- |")
    for row, cell in table.items():
        parts = []
        for metric in METRICS:
            summary = bootstrap.interval(cell[metric])
            parts.append(f"{summary.mean:.4f} ±{summary.standard_error:.4f} ({cell[metric + ' spread']:.4f})")
        print(f"| {row} | {' | '.join(parts)} |")
    others = [row for row in table if row != reference]
    print(
        f"\n{reference} minus the row: difference [95 % interval], p paired over users, Holm-corrected over rows"
    )
    print(f"| | {' | '.join(METRICS)} |\n| --- | --- | --- | --- | --- |")
    columns = []
    for metric in METRICS:
        found = [bootstrap.paired(table[reference][metric], table[row][metric]) for row in others]
        corrected = bootstrap.holm([difference.p_value for difference in found])
        columns.append(
            [
                f"{d.interval.mean:+.4f} [{d.interval.low:+.4f}, {d.interval.high:+.4f}] p {p:.3f}"
                for d, p in zip(found, corrected, strict=True)
            ]
        )
    for row, *parts in zip(others, *columns, strict=True):
        print(f"| {row} | {' | '.join(parts)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("datasets/tiktok"))
    parser.add_argument("--split", choices=SPLITS, default="valid")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--ablate", action="store_true", help="MMBee with one part switched at a time")
    parser.add_argument("--rows", nargs="+", help="these rows only, and MMBee")
    parser.add_argument(
        "--reference", default="MMBee", metavar="ROW", help="the row that others are set against"
    )
    parser.add_argument("--cells", type=Path, default=Path("results/cells"))
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="cells made side by side, one thread each"
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="further settings of every model")
    args = parser.parse_args()
    if args.reference not in (ABLATIONS if args.ablate else ROWS):
        parser.error(f"--reference {args.reference!r} is no row of this table")
    folder = DatasetFolder(args.folder)
    common = given_settings(None, [f"--{text}" for text in args.settings])
    known = {row: ("MMBee", extra) for row, extra in ABLATIONS.items()} if args.ablate else ROWS
    rows = {
        row: (model, {**common, **given_settings(None, extra)})
        for row, (model, extra) in known.items()
        if args.rows is None or row in ("MMBee", args.reference, *args.rows)
    }
    print(folder.provenance())
    print(f"split: {args.split}, seeds: {args.seeds}")
    table = dict(rows_of_users(rows, folder, args.split, args.seeds, args.cells, args.jobs))
    print_table(table, args.reference)


if __name__ == "__main__":
    main()
