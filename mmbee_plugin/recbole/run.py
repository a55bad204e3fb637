"""Trains and tests models: ``python run_recbole.py --model=MMBee --dataset=tiktok``, or ``python -m
mmbee_plugin.recbole``.

Differs from ``recbole.quick_start.run_recbole`` in that every model, RecBole's own too, gets this package's
dataset class (so that a comparison has one split, one mask and the same histories), that a run can be
resumed, and that a wrong name or setting is one line on stderr and exit status 2.
"""

import contextlib
import copy
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from recbole.config import Config
from recbole.data import data_preparation
from recbole.utils import ModelType, get_model, get_trainer, init_seed

from mmbee_plugin import threads
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.sample import ensure
from mmbee_plugin.entry import exit_status
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import check_writable
from mmbee_plugin.recbole import checkpoint, options, report
from mmbee_plugin.recbole.dataset import MMBeeDataset
from mmbee_plugin.recbole.evaluation import chosen_valid_metric
from mmbee_plugin.recbole.logs import run_log
from mmbee_plugin.recbole.splitting import data_lines, settle, split_line
from mmbee_plugin.recbole.stock_settings import check_stock_settings
from mmbee_plugin.recbole.trainer import Resumable, check_same_settings, resumable
from mmbee_plugin.recbole.values import check_values


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status: 0, 2 for bad input, 130 when interrupted."""
    return exit_status(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: list[str]) -> None:
    chosen = options.parse_run(argv)
    if chosen.resume:
        chosen = as_before(chosen)
    if chosen.result:
        check_writable(chosen.result)
    assert chosen.dataset is not None
    folder = ensure(chosen.dataset, chosen.data_path)
    options.check_given(chosen.given, chosen.models)
    configs = [build_config(model, folder, chosen.given) for model in chosen.models]
    if chosen.resume:
        check_same_settings(checkpoint.load(chosen.resume, "cpu")["config"], configs[0], chosen.resume)
    lines = list(
        dict.fromkeys(line for config in configs for line in data_lines(config.final_config_dict, folder))
    )
    sys.stdout.write("\n".join([*report.provenance_lines(folder), *lines, threads.line(), ""]))
    sys.stdout.flush()
    results = []
    for config in configs:
        results.append(train_and_test(config, folder, chosen.resume, quiet="state" not in chosen.given))
        if results[-1].dataset["split"] != results[0].dataset["split"]:
            raise InputError(
                f"{results[-1].model} was tested on other pairs than {results[0].model}: a comparison needs "
                "one split, so give data settings for the dataset and not for one model"
            )
    sys.stdout.write("\n".join(["", report.table(results), "", *report.provenance_lines(folder), *lines, ""]))
    if chosen.result:
        report.write_results(chosen.result, results, as_list=len(chosen.models) > 1)
        sys.stdout.write(f"Written to {chosen.result}\n")


def as_before(chosen: options.Options) -> options.Options:
    """The options of a resumed run: what the command line leaves open is as in the run that was
    interrupted."""
    assert chosen.resume is not None
    config = checkpoint.load(chosen.resume, "cpu")["config"]
    _check_version(chosen.resume, config)
    before = {
        key: value
        for key, value in config.external_config_dict.items()
        if key not in ("gpu_id", "show_progress")
    }
    return replace(
        chosen,
        models=chosen.models or (config["model"],),
        dataset=chosen.dataset or config["dataset"],
        data_path=Path(config["data_path"]).parent if chosen.dataset is None else chosen.data_path,
        given=options.merged(before, chosen.given),
    )


LABELLED_RUN = "run_recbole.py --model=MMBee --dataset=livesim"
"""a run whose checkpoint every command takes, which refusals name"""


def load_mmbee(path: Path) -> dict[str, Any]:
    """A checkpoint, as `checkpoint.load`, on the CPU, for a run of MMBee by this version.

    Raises:
        InputError: as `checkpoint.load`; a checkpoint of another model, or of a version with fewer settings.
    """
    state = checkpoint.load(path, "cpu")
    config = state["config"]
    if config["model"] != "MMBee":
        raise InputError(
            f"{path}: a checkpoint of {config['model']}, expected one of MMBee, as run_recbole.py --model=MMBee makes"
        )
    _check_version(path, config)
    return state


def _check_version(path: Path, config: Config) -> None:
    """Raises InputError for a run that did not know a setting of today's."""
    newer = options.default_settings(config["model"]).keys() - config.final_config_dict.keys()
    if newer:
        raise InputError(
            f"{path}: of an older version, it does not know the setting {min(newer)!r}; train it again"
        )


def build_config(model: str, folder: DatasetFolder, given: dict[str, Any]) -> Config:
    """RecBole's Config for `model` on `folder`, from the sources that `options` lists.

    Raises:
        InputError: RecBole or the model refuses a value.
    """
    of_dataset = options.dataset_settings(
        folder.name, model, folder.kind == "sample", folder.live is not None
    )
    chosen = options.merged(options.RUN_DEFAULTS, of_dataset)
    given = options.of_model(given, model)
    chosen = options.merged({"gpu_id": _gpu(), "show_progress": sys.stderr.isatty(), **chosen}, given)
    check_values(chosen, model)
    effective = {**options.default_settings(model), **chosen}
    if effective["use_gpu"] is False:
        chosen["gpu_id"] = ""  # RecBole chooses the device by gpu_id alone
    chosen["valid_metric"] = chosen_valid_metric(effective, given)
    loss = effective.get("loss_type")
    sequential = get_model(model).type == ModelType.SEQUENTIAL
    if sequential and chosen.get("repeatable") is False:
        del chosen["repeatable"]  # what this package's dataset does anyway, and RecBole refuses
    if loss == "CE" and sequential:
        chosen.setdefault("train_neg_sample_args", None)  # RecBole refuses its own default here
    # RecBole evaluates every string it is given as Python; a quoted string evaluates to itself.
    quoted = {
        key: repr(value) if isinstance(value, str) else copy.deepcopy(value) for key, value in chosen.items()
    }
    with _no_arguments():
        try:
            config = Config(model=model, dataset=folder.name, config_dict=quoted)
        except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, AssertionError) as error:
            raise error if isinstance(error, InputError) else InputError(str(error)) from None
    widest = max(config["topk"])
    if "full" in config["eval_args"]["mode"].values() and widest > folder.counts["items"]:
        raise InputError(f"topk {widest}: {folder.name} has only {folder.counts['items']} items to rank")
    config["data_path"] = str(folder.path)  # RecBole would read its own copy of ml-100k
    check_stock_settings(config, folder)
    config["dataset_hash"] = folder.hash
    settle(config, folder)
    refuse = getattr(config.model_class, "refuse_settings", None)
    if refuse is not None:
        refuse(config, folder)
    return config


def _gpu() -> str:
    """RecBole ignores ``use_gpu`` and overwrites CUDA_VISIBLE_DEVICES by ``gpu_id``: this keeps the user's
    choice."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0") if torch.cuda.is_available() else ""


@contextlib.contextmanager
def _no_arguments() -> Iterator[None]:
    """While a Config is made: it reads ``sys.argv`` by itself otherwise."""
    kept, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = kept


def seeded_dataset(config: Config) -> MMBeeDataset:
    """The dataset, not yet split; equal settings split it in one way."""
    init_seed(config["seed"], config["reproducibility"])
    return MMBeeDataset(config)


def train_and_test(
    config: Config, folder: DatasetFolder, resume: Path | None = None, quiet: bool = True, saved: bool = True
) -> report.RunResult:
    """One model, from the folder to its metrics.

    Args:
        resume: a checkpoint to go on from.
        saved: False keeps no checkpoint, and tests the last epoch's weights instead of the best.
    """
    start, memory = time.perf_counter(), report.PeakMemory()
    with run_log(config, quiet) as log:
        for line in [*report.provenance_lines(folder), *data_lines(config.final_config_dict, folder)]:
            log.info(line)
        log.info(config)
        loaders = data_preparation(config, seeded_dataset(config))
        train_data, valid_data, test_data = loaders
        facts = report.dataset_facts(folder, valid_data, test_data) | {
            "split_by": split_line(config.final_config_dict, folder).removeprefix("warning: "),
            "row_order": config["row_order"],
        }
        init_seed(config["seed"], config["reproducibility"])
        model = get_model(config["model"])(config, train_data._dataset).to(config["device"])
        log.info(model)
        trainer = resumable(get_trainer(config["MODEL_TYPE"], config["model"]))(config, model)
        if resume:
            if not isinstance(trainer, Resumable):
                raise InputError(f"model {config['model']} cannot be resumed: RecBole trains it in one go")
            trainer.resume_checkpoint(resume)
        progress = config["show_progress"]
        try:
            _, valid = trainer.fit(train_data, valid_data, saved=saved, show_progress=progress)
            test = trainer.evaluate(test_data, load_best_model=saved, show_progress=progress)
        except KeyboardInterrupt:
            kept = saved and isinstance(trainer, Resumable) and trainer.last_file.exists()
            raise KeyboardInterrupt(f"--resume={trainer.last_file} goes on" if kept else "") from None
        result = report.RunResult(
            model=config["model"],
            valid={name: float(value) for name, value in valid.items()},
            test={name: float(value) for name, value in test.items()},
            dataset=facts,
            settings=report.plain_settings(config.final_config_dict),
            seconds=round(time.perf_counter() - start, 3),
            peak_rss_mb=round(memory.megabytes(), 1),
            checkpoint=str(trainer.saved_model_file) if saved else "",
        )
        log.info(f"\n{report.table([result])}")
        for line in report.provenance_lines(folder):
            log.info(line)
    return result
