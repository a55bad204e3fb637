"""Seconds an epoch and a validation ranking: RecBole's own dataset, loaders and trainer against this package's.

    python benchmarks/epochs.py                                  # NGCF, LightGCN, DIN, SASRec on ml-100k
    python benchmarks/epochs.py --models LightGCN --epochs 10
    python benchmarks/epochs.py --models DIN --no-ranking        # RecBole's takes a quarter of an hour
    python benchmarks/epochs.py --models DIN --no-ranking --no-anomaly
    python benchmarks/epochs.py --dataset tiktok --models MMBee --against LightGCN   # two models, both by this package

Every run is a process of one thread, measured in processor seconds. The sides alternate (ours, RecBole's, RecBole's,
ours) and read the same files with the same settings and splitting rule; RecBole's side never imports this package. The
first epoch, a warm-up, is left out. Peak is the process's highest resident memory. RecBole stores a row for each prefix
of a user's history, this package slices it when a batch is made; histories have at most ten items. For sequence models
RecBole ranks all items for every held-out row, this package once a user. RecBole also trains under autograd's anomaly
detection, which its SINE switches on globally; ``--no-anomaly`` switches it off on both sides, to compare loaders and
trainers alone. With ``--against`` each model has its own settings for the dataset, as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmbee_plugin.command.memory import peak_megabytes

OURS, RECBOLE = "mmbee", "RecBole"
TURNS = (OURS, RECBOLE, RECBOLE, OURS)


def our_side(model: str, given: dict[str, Any]) -> tuple[Any, Any, Any, int]:
    """Trainer, training loader, validation loader and number of training rows, by this package."""
    from recbole.data import data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.recbole.run import build_config, seeded_dataset
    from mmbee_plugin.recbole.training.trainer import resumable

    folder = DatasetFolder(Path(given["data_path"]) / given["dataset"])
    own = {key: value for key, value in given.items() if key not in ("dataset", "data_path")}
    config = build_config(model, folder, {"data_path": given["data_path"], **own})
    train, valid, _ = data_preparation(config, seeded_dataset(config))
    init_seed(config["seed"], config["reproducibility"])
    network = get_model(model)(config, train.dataset).to(config["device"])
    trainer = resumable(get_trainer(config["MODEL_TYPE"], model))(config, network)
    return trainer, train, valid, len(train.dataset)


def recbole_side(model: str, given: dict[str, Any]) -> tuple[Any, Any, Any, int]:
    """Trainer, loaders and number of training rows as :func:`our_side`, by RecBole alone."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    sys.argv = sys.argv[:1]  # Config reads it
    config = Config(model=model, dataset=given["dataset"], config_dict=given)
    config["data_path"] = str(Path(given["data_path"]) / given["dataset"])
    init_seed(config["seed"], config["reproducibility"])
    train, valid, _ = data_preparation(config, create_dataset(config))
    network = get_model(model)(config, train.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, network)
    return trainer, train, valid, len(train.dataset)


SIDES: dict[str, Callable[[str, dict[str, Any]], tuple[Any, Any, Any, int]]] = {
    OURS: our_side,
    RECBOLE: recbole_side,
}


def measure(
    side: str, model: str, given: dict[str, Any], epochs: int, ranking: bool, anomaly: bool
) -> dict[str, Any]:
    """Runs one side in this process."""
    import torch

    torch.set_num_threads(1)
    start = time.process_time()
    trainer, train, valid, rows = SIDES[side](model, given)
    prepared = time.process_time() - start
    if not anomaly:
        torch.autograd.set_detect_anomaly(False)
    trainer.eval_collector.data_collect(train)
    seconds = []
    for epoch in range(epochs + 1):
        start = time.process_time()
        trainer._train_epoch(train, epoch, show_progress=False)
        seconds.append(time.process_time() - start)
    start = time.process_time()
    if ranking:
        trainer._valid_epoch(valid, show_progress=False)
    return {
        "rows": rows,
        "prepare": prepared,
        "epochs": seconds[1:],
        "ranking": time.process_time() - start if ranking else None,
        "peak": peak_megabytes(),
    }


def settings_of(dataset: str, data_path: Path, model: str, both_sides: bool) -> dict[str, Any]:
    """Settings of ``recbole_configs`` for the dataset and this model; of ``both_sides``, such as RecBole's has too."""
    from mmbee_plugin.builtin.sample import ensure
    from mmbee_plugin.recbole.config.files import RUN_DEFAULTS, dataset_settings
    from mmbee_plugin.recbole.config.sources import merged

    folder = ensure(dataset, data_path)
    chosen = merged(RUN_DEFAULTS, dataset_settings(folder, model))
    if both_sides:
        chosen["MAX_ITEM_LIST_LENGTH"] = 10
    if model == "SASRec":
        chosen["train_neg_sample_args"] = None  # its loss is over all items
    return {
        **chosen,
        "dataset": dataset,
        "data_path": str(data_path.resolve()),
        "gpu_id": "",
        "state": "ERROR",
    }


def child(side: str, model: str, given: dict[str, Any], epochs: int, flags: list[str]) -> dict[str, Any]:
    """One run in a process of its own, in a temporary folder."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), f"--side={side}"]
    command += [f"--models={model}", f"--epochs={epochs}", f"--given={json.dumps(given)}"]
    command += flags
    paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    if done.returncode:
        raise SystemExit(f"{model}, {side}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["NGCF", "LightGCN", "DIN", "SASRec"])
    parser.add_argument("--dataset", default="ml-100k", help="with time, in one file of interactions")
    parser.add_argument("--data-path", type=Path, default=Path("datasets"))
    parser.add_argument(
        "--against", metavar="MODEL", help="measure from this model instead of RecBole's side"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--no-ranking", dest="ranking", action="store_false", help="time training alone")
    parser.add_argument("--no-anomaly", dest="anomaly", action="store_false", help="see above")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--given", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(
            json.dumps(
                measure(args.side, args.models[0], args.given, args.epochs, args.ranking, args.anomaly)
            )
        )
        return

    flags = [f"--no-{name}" for name in ("ranking", "anomaly") if not getattr(args, name)]
    print("| model | side | training rows | prepare s | epoch s | ranking s | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for model in args.models:
        ours = settings_of(args.dataset, args.data_path, model, not args.against)
        sides = {OURS: (OURS, model, ours), RECBOLE: (RECBOLE, model, ours)}
        turns: tuple[str, ...] = TURNS
        if args.against:
            other = settings_of(args.dataset, args.data_path, args.against, False)
            sides = {model: (OURS, model, ours), args.against: (OURS, args.against, other)}
            turns = (model, args.against, args.against, model)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        for name in turns:
            runs[name].append(child(*sides[name], args.epochs, flags))
        medians = {name: medians_of(found) for name, found in runs.items()}
        for name, found in runs.items():
            print(f"| {model} | {name} | {found[0]['rows']:,} | {' | '.join(map(shown, medians[name]))} |")
        first, second = sides
        ratios = [
            None if one is None or other is None else other / one
            for one, other in zip(medians[first], medians[second], strict=True)
        ]
        print(f"| | {second} / {first} | | {' | '.join(map(shown, ratios))} |", flush=True)


def medians_of(runs: list[dict[str, Any]]) -> list[float | None]:
    """Median seconds of preparing, an epoch and a ranking, and MB of peak memory; None for what was not measured."""
    prepare, peak = (statistics.median(run[key] for run in runs) for key in ("prepare", "peak"))
    epoch = statistics.median(second for run in runs for second in run["epochs"])
    rankings = [run["ranking"] for run in runs if run["ranking"] is not None]
    return [prepare, epoch, statistics.median(rankings) if rankings else None, peak]


def shown(value: float | None) -> str:
    """A figure as the table prints it."""
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    main()
