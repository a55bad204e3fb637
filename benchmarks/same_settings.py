"""Compares the settings of a RecBole run of MMBee with those of a TorchRec job."""

from __future__ import annotations

from typing import Any

from recbole.config import Config

from mmbee_plugin.recbole.config.settings import MMBeeSettings, graph_settings
from mmbee_plugin.torchrec.checkpoints.resume import flat
from mmbee_plugin.torchrec.settings import JobModelSettings, Settings, TablesSettings


def in_torchrec_words(config: Config) -> dict[str, Any]:
    """RecBole's settings under the job's names."""
    model = MMBeeSettings.among(config).part(JobModelSettings).model_dump(mode="json")
    model["reach"] = graph_settings(config).reach_top_k > 0
    tables = {"optimizer": config["table_optimizer"], "learning_rate": config["table_learning_rate"]}
    training = {
        "epochs": config["epochs"],
        "batch_size": config["train_batch_size"],
        "negatives": config["train_neg_sample_args"]["sample_num"],
        "learning_rate": config["learning_rate"],
        "weight_decay": config["weight_decay"],
        "precision": "bf16" if config["enable_amp"] else "fp32",
        "seed": config["seed"],
        "eval_every": config["eval_step"],
        "patience": config["stopping_step"] + 1,  # RecBole stops one evaluation later than set
        "topk": config["topk"],
    }
    data = {"history": config["history"], "history_length": config["MAX_ITEM_LIST_LENGTH"]}
    words = {"data": data, "model": model, "train": training}
    return flat({**words, "tables": dict.fromkeys(TablesSettings.model_fields, tables)})


def differences(config: Config, job: Settings) -> list[str]:
    """Lines naming the settings in which the RecBole run and the job differ."""
    before, now = in_torchrec_words(config), flat(job.model_dump(mode="json"))
    lines = [
        f"{name}: RecBole {before[name]!r}, TorchRec {now[name]!r}"
        for name in before
        if before[name] != now[name]
    ]
    best_by = f"Recall@{max(job.train.topk)}"
    if config["valid_metric"] != best_by:
        lines.append(f"best epoch: RecBole by {config['valid_metric']}, TorchRec by {best_by}")
    return lines
