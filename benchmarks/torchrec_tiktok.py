"""Compares validation metrics of MMBee on the real TikTok between the TorchRec job and the RecBole adapter.

    mmbee data convert hkuds SRC datasets/tiktok
    python benchmarks/torchrec_tiktok.py                     # one process, seeds 1 2 3
    python benchmarks/torchrec_tiktok.py --processes 2       # the job under torchrun

The RecBole run has the settings of ``recbole_configs/tiktok.yaml`` with RowWiseAdagrad on the tables, the job those of
``torchrec_configs/tiktok.yaml``; settings that differ are printed. Both read one graph and, for each seed, the same
node vectors. Metrics are those of the epoch that was best on validation. Samples per second count training positives
and include making batches; seconds span from reading the data to the test metrics, without the graph stage. Finished
runs are kept in ``--cells`` and not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from recbole.config import Config
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from same_settings import differences
from tqdm import tqdm

import mmbee_plugin
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.recbole.config import settings as recbole_settings
from mmbee_plugin.recbole.config.files import dataset_settings
from mmbee_plugin.recbole.offline import snapshot_for
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training.logs import run_log
from mmbee_plugin.recbole.training.trainer import resumable
from mmbee_plugin.torchrec.processes.command import show_progress
from mmbee_plugin.torchrec.settings import Settings, TablesSettings, read_settings
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards
from mmbee_plugin.torchrec.training.loop import train

METRICS = ("recall@20", "ndcg@20")
Result = dict[str, Any]


def run_recbole(config: Config) -> Result:
    """Trains RecBole's MMBee; returns the metrics of its best epoch."""
    with tempfile.TemporaryDirectory() as folder, run_log(config, quiet=True):
        config["checkpoint_dir"] = folder
        start, in_epochs = time.perf_counter(), 0.0
        loaders = data_preparation(config, seeded_dataset(config))
        init_seed(config["seed"], config["reproducibility"])
        network = get_model("MMBee")(config, loaders[0].dataset).to(config["device"])

        class Timed(resumable(get_trainer(config["MODEL_TYPE"], "MMBee"))):  # type: ignore[misc]
            def _train_epoch(self, *args: Any, **kwargs: Any) -> Any:
                nonlocal in_epochs
                since = time.perf_counter()
                loss = super()._train_epoch(*args, **kwargs)
                in_epochs += time.perf_counter() - since
                return loss

        trainer = Timed(config, network)
        _, valid = trainer.fit(loaders[0], loaders[1], verbose=False, saved=True, show_progress=False)
        test = trainer.evaluate(loaders[2], load_best_model=True)
        return {
            "valid": {name: float(valid[name]) for name in METRICS},
            "test": {name: float(test[name]) for name in METRICS},
            "epochs": len(trainer.train_loss_dict),
            "samples_per_second": len(loaders[0].rows) * len(trainer.train_loss_dict) / in_epochs,
            "seconds": time.perf_counter() - start,
            "snapshot": snapshot_for(config, loaders[0].dataset).manifest["key"],
        }


def run_torchrec(job: Settings, processes: int) -> Result:
    """Trains the job, in this process or under torchrun; returns the metrics of its best epoch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = job.checkpoint.model_copy(update={"folder": str(folder / "checkpoints")})
        job = job.model_copy(update={"checkpoint": checkpoint})
        start = time.perf_counter()
        outcome = train(job) if processes == 1 else run_under_torchrun(job, processes, folder)
        seconds = time.perf_counter() - start
    return {
        "valid": {name: outcome["best"]["validation"][name] for name in METRICS},
        "test": {name: outcome["test"][name] for name in METRICS},
        "epochs": len(outcome["validation"]),
        "samples_per_second": outcome["samples_per_second"],
        "seconds": seconds,
        "snapshot": ShardStore(Path(job.data.shards)).description.snapshot,
    }


def run_under_torchrun(job: Settings, processes: int, folder: Path) -> Result:
    """Runs `train` under torchrun and returns its result; ``folder`` holds temporary files."""
    config, result = folder / "config.yaml", folder / "result.json"
    config.write_text(yaml.safe_dump(job.model_dump(mode="json")), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += ["-m", "mmbee_plugin.torchrec.train", "--config", str(config), "--result", str(result)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(command)} ended with status {ended.returncode}:\n{ended.stdout}")
    return json.loads(result.read_text(encoding="utf-8"))


def shards_of(folder: DatasetFolder, config: Config, places: Path) -> Path:
    """Shards with the graph and node vectors of a RecBole run, written if they are missing."""
    graph, nodes = recbole_settings.graph_settings(config), recbole_settings.graphcl_settings(config)
    rows = {key: config[key] for key in ("train_newest", "row_order", "seed")}
    parts = [folder.hash, repr(graph), repr(nodes), rows]
    path = places / f"{folder.name}-seed{config['seed']}-{digest(parts)}"
    if not path.exists():
        write_shards(folder, path, graph, nodes, **rows)
    return path


def kept(path: Path, run: Callable[[], Result]) -> Result:
    """A run's result from its file; runs it first if there is none."""
    if not path.exists():
        result = run()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def code_of(adapter: str) -> str:
    """Digest of an adapter's code and the code both share, part of a run's key."""
    root, other = Path(mmbee_plugin.__file__).parent, {"recbole": "torchrec", "torchrec": "recbole"}[adapter]
    files = [path for path in sorted(root.rglob("*")) if path.suffix in (".py", ".yaml")]
    return digest([path.read_text() for path in files if path.relative_to(root).parts[0] != other])


def summary(results: list[Result], metric: str) -> tuple[float, float, float]:
    """Mean, smallest and largest value over the seeds, to RecBole's four decimals."""
    values = [result["valid"][metric] for result in results]
    return round(float(np.mean(values)), 4), round(min(values), 4), round(max(values), 4)


def verdict(metric: str, recbole: list[Result], torchrec: list[Result]) -> str:
    """Whether the job's mean lies within the range of RecBole's seeds, in words."""
    (ours, low, high), (mean, smallest, largest) = summary(recbole, metric), summary(torchrec, metric)
    if low <= mean <= high:
        return f"{metric}: TorchRec's mean {mean:.4f} lies within RecBole's {low:.4f}..{high:.4f}"
    side = "above" if mean > high else "below"
    overlap = "overlap" if smallest <= high and low <= largest else "do not overlap"
    return (
        f"{metric}: TorchRec's mean {mean:.4f} lies {side} RecBole's {low:.4f}..{high:.4f} "
        f"({mean - ours:+.4f} to its mean); the two spreads {overlap}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--folder", type=Path, default=Path("datasets/tiktok"))
    add("--config", type=Path, default=Path("torchrec_configs/tiktok.yaml"), help="of the job")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--processes", type=int, default=1, help="of the job; RecBole has one")
    add("--epochs", type=int, help="of both; by default as each side's file has it")
    add("--table_learning_rate", type=float, help="of both; by default as the job's file has it")
    add("--shards", type=Path, default=Path("shards/benchmark"))
    add("--cells", type=Path, default=Path("results/torchrec_tiktok"))
    args = parser.parse_args()
    show_progress(first=False)
    warnings.simplefilter("ignore")
    folder = DatasetFolder(args.folder)
    print(f"{folder.provenance()}\nseeds: {args.seeds}", flush=True)
    common = {} if args.epochs is None else {"epochs": args.epochs}
    code = {adapter: code_of(adapter) for adapter in ("recbole", "torchrec")}
    found: dict[str, list[Result]] = {"RecBole": [], "TorchRec": []}
    notes: set[str] = set()
    for seed in tqdm(args.seeds, unit="seed"):
        overrides = [f"train.{name}={value}" for name, value in common.items()] + [f"train.seed={seed}"]
        if args.table_learning_rate is not None:
            overrides += [
                f"tables.{t}.learning_rate={args.table_learning_rate}" for t in TablesSettings.model_fields
            ]
        rate = read_settings(args.config, overrides).tables.author.learning_rate
        given = {**common, "table_optimizer": "rowwise_adagrad", "table_learning_rate": rate, "seed": seed}
        config = build_config("MMBee", folder, {**given, "show_progress": False})
        overrides += [f"train.patience={config['stopping_step'] + 1}"]
        shards = shards_of(folder, config, args.shards)
        job = read_settings(args.config, [*overrides, f"data.shards={shards}"])
        notes |= set(differences(config, job))

        chosen = dataset_settings(folder, "MMBee")
        key = digest([folder.hash, chosen, given, code["recbole"]])
        path = args.cells / f"recbole-seed{seed}-{key}.json"
        found["RecBole"].append(kept(path, lambda config=config: run_recbole(config)))
        settings = job.model_dump(mode="json", exclude={"checkpoint": True, "data": {"shards"}})
        key = digest([shards.name, settings, args.processes, code["torchrec"]])
        path = args.cells / f"torchrec-seed{seed}-{key}.json"
        found["TorchRec"].append(kept(path, lambda job=job: run_torchrec(job, args.processes)))
        if found["RecBole"][-1]["snapshot"] != found["TorchRec"][-1]["snapshot"]:
            notes.add(f"graph and node vectors of seed {seed}: not the same")
    print("\n".join(["settings that differ:", *sorted(notes)]) if notes else "settings: the same in both")

    print(f"\nvalidation, best epoch: mean (smallest..largest of {len(args.seeds)} seeds)")
    print(f"| | {' | '.join(METRICS)} | samples/s | seconds |\n| --- | --- | --- | --- | --- |")
    for row, results in found.items():
        spreads = [summary(results, metric) for metric in METRICS]
        cells = [f"{mean:.4f} ({low:.4f}..{high:.4f})" for mean, low, high in spreads]
        cells.append(f"{np.mean([result['samples_per_second'] for result in results]):,.0f}")
        cells.append(f"{np.mean([result['seconds'] for result in results]):,.0f}")
        name = f"{row}, {args.processes} processes" if row == "TorchRec" and args.processes > 1 else row
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n" + "; ".join(verdict(metric, found["RecBole"], found["TorchRec"]) for metric in METRICS))


if __name__ == "__main__":
    main()
