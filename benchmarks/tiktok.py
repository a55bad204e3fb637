"""How good: the table of MMBee, its baselines and the plain walks on the real TikTok, with intervals.

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
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from ablations import ABLATIONS
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from tqdm import tqdm
from walks import WALKS, Walk, favour

import mmbee_plugin
from mmbee_plugin import bootstrap
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.recbole.dataset import MMBeeDataset
from mmbee_plugin.recbole.options import dataset_settings, given_settings
from mmbee_plugin.recbole.ranking import per_user_metrics
from mmbee_plugin.recbole.run import build_config, run_log
from mmbee_plugin.recbole.trainer import resumable

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
SPLITS = ("valid", "test")
ROWS: dict[str, tuple[str, list[str]]] = {
    **{walk: (walk, []) for walk in WALKS},
    **{model: (model, []) for model in ("Pop", "BPR", "LightGCN", "SIM", "MMBee")},
    "MMBee, row order random": ("MMBee", ["--row_order=random"]),
}
Cell = dict[str, np.ndarray]


def walk_scores(dataset: MMBeeDataset, rounds: int, order: float) -> Callable[[object], torch.Tensor]:
    """Scores a batch of users by a walk, with items late in the file favoured by ``order``."""
    users = dataset.inter_feat[dataset.uid_field].numpy()
    items = dataset.inter_feat[dataset.iid_field].numpy()
    walk = Walk(users, items, dataset.user_num, dataset.item_num)
    factor = favour(dataset.item_rows, order)

    def score(interaction) -> torch.Tensor:
        return torch.from_numpy(walk(interaction[dataset.uid_field].numpy(), rounds) * factor)

    return score


def run_cell(model: str, folder: DatasetFolder, settings: dict, seed: int) -> Cell:
    """Trains one model with one seed; per split the users and one value a user of each metric."""
    name = "Pop" if model in WALKS else model
    config = build_config(name, folder, {**settings, "seed": seed, "show_progress": False})
    with run_log(config, quiet=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        init_seed(seed, True)
        train, valid, test = data_preparation(config, MMBeeDataset(config))
        if model in WALKS:
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

        cell: Cell = {}
        for split, loader in zip(SPLITS, (valid, test), strict=True):
            cell[f"{split} users"], values = per_user_metrics(score, loader)
            cell |= {f"{split} {metric}": values[metric] for metric in METRICS}
    return cell


def cells(
    rows: dict[str, tuple[str, dict]], folder: DatasetFolder, split: str, seeds: list[int], kept: Path
) -> Iterator[tuple[str, Cell]]:
    """Every row's metrics averaged over its seeds; finished cells come from files."""
    jobs = [
        (row, seed)
        for row, (model, _) in rows.items()
        for seed in ([0] if model in {*WALKS, "Pop"} else seeds)
    ]
    found: dict[str, list[Cell]] = {}
    for row, seed in tqdm(jobs, unit="cell"):
        model, settings = rows[row]
        chosen = {} if model in WALKS else dataset_settings(folder.name, model, is_sample=False)
        key = json.dumps([folder.hash, model, chosen, settings, seed, state_of_the_code()], sort_keys=True)
        path = kept / f"{row.replace(' ', '_')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
        if not path.exists():
            cell = run_cell(model, folder, settings, seed)
            kept.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.part.npz")
            np.savez(partial, **cell)
            partial.replace(path)
        with np.load(path) as stored:
            cell = {
                name.removeprefix(f"{split} "): stored[name]
                for name in stored.files
                if name.startswith(split)
            }
            found.setdefault(row, []).append(cell)
    for row, parts in found.items():
        order = [np.argsort(part["users"]) for part in parts]
        values = {m: np.mean([p[m][o] for p, o in zip(parts, order, strict=True)], axis=0) for m in METRICS}
        spread = {f"{m} spread": np.ptp([p[m].mean() for p in parts]) for m in METRICS}
        yield row, {**values, **spread}


def state_of_the_code() -> str:
    """Digest of the package, part of a cell's key: another code has other cells."""
    digest = hashlib.sha256()
    for path in sorted(Path(mmbee_plugin.__file__).parent.rglob("*")):
        if path.suffix in (".py", ".yaml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def print_table(table: dict[str, Cell], reference: str) -> None:
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
    table = dict(cells(rows, folder, args.split, args.seeds, args.cells))
    print_table(table, args.reference)


if __name__ == "__main__":
    main()
