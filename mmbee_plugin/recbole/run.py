"""Trains and tests models: ``mmbee train --model=MMBee --dataset=tiktok``, or ``python run_recbole.py`` with the same.

Differs from ``recbole.quick_start.run_recbole`` in that every model, RecBole's own too, gets this package's
dataset class (so that a comparison has one split, one mask and the same histories) and the settings of the dataset's
file, that a run prints its progress and can be resumed, and that a wrong name or setting gives one line on stderr and
exit status 2.
"""

import contextlib
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recbole.config import Config
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.command import threads
from mmbee_plugin.command.entry import exit_status
from mmbee_plugin.command.memory import PeakMemory
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import check_writable
from mmbee_plugin.recbole.config import options
from mmbee_plugin.recbole.config.configs import build_config, machine_settings
from mmbee_plugin.recbole.config.files import base_sources
from mmbee_plugin.recbole.config.idle import check_read
from mmbee_plugin.recbole.config.known import check_given
from mmbee_plugin.recbole.config.layers import default_settings
from mmbee_plugin.recbole.config.sources import (
    OF_THE_DATA,
    Source,
    combined,
    described,
    files_line,
    merged,
    plain_settings,
)
from mmbee_plugin.recbole.config.splitting import data_lines, split_line
from mmbee_plugin.recbole.config.tuned import hint, is_stale, tuning_for, tunings_folder
from mmbee_plugin.recbole.config.variants import Variant, named
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.training import checkpoint, report
from mmbee_plugin.recbole.training.logs import log_file, run_log
from mmbee_plugin.recbole.training.progress import Progress, begin_stage
from mmbee_plugin.recbole.training.trainer import Resumable, resumable


def main(argv: list[str] | None = None, command: options.Command = options.RUN) -> int:
    """The command line; returns the exit status: 0, 2 for bad input, 130 when interrupted."""
    return exit_status(lambda: _run(options.parse_run(sys.argv[1:] if argv is None else argv, command)))


def _run(chosen: options.Options) -> None:
    if chosen.resume:
        chosen = as_before(chosen)
    if chosen.result:
        check_writable(chosen.result)
    assert chosen.dataset is not None
    folder = ensure(chosen.dataset, chosen.data_path)
    if chosen.tuned is not None:
        chosen = with_tuned(chosen, folder)
    check_given(chosen.given, chosen.models)
    given = [combined(chosen.sources_of(variant)) for variant in chosen.variants]
    configs = [
        build_config(variant.model, folder, own) for variant, own in zip(chosen.variants, given, strict=True)
    ]
    check_comparable(chosen.variants, configs)
    check_read(configs, chosen.on_command_line)
    for variant, config in zip(chosen.variants, configs, strict=True):
        check_read([config], variant.settings)
    if chosen.resume:
        with checkpoint.alone(chosen.resume):  # fails before data are read
            state = checkpoint.load(chosen.resume, "cpu")
        checkpoint.check_same_settings(state["config"], configs[0], chosen.resume)
    if chosen.print_config:
        printed = (
            _printed(config, folder, chosen.sources_of(variant))
            for config, variant in zip(configs, chosen.variants, strict=True)
        )
        sys.stdout.write("---\n".join(printed))
        return
    lines = list(
        dict.fromkeys(line for config in configs for line in data_lines(config.final_config_dict, folder))
    )
    of_settings = [
        line
        for config, variant in zip(configs, chosen.variants, strict=True)
        for line in _settings_lines(config, folder, chosen, variant)
    ]
    sys.stdout.write("\n".join([*report.provenance_lines(folder), *lines, *of_settings, threads.line(), ""]))
    sys.stdout.flush()
    results = []
    for config, variant, own in zip(configs, chosen.variants, given, strict=True):
        progress = Progress(variant.name if len(configs) > 1 else "")
        result = train_and_test(config, folder, chosen.resume, quiet="state" not in own, progress=progress)
        results.append(replace(result, name=variant.name))
        if results[-1].dataset["split"] != results[0].dataset["split"]:
            raise InputError(
                f"{results[-1].name} was tested on other pairs than {results[0].name}: a comparison needs "
                "one split, so give data settings for the dataset and not for one model"
            )
    sys.stdout.write("\n".join(["", report.table(results), "", *report.provenance_lines(folder), *lines, ""]))
    sys.stdout.write("\n".join([*report.file_lines(results), ""]))
    if chosen.result:
        report.write_results(chosen.result, results, as_list=len(results) > 1)
        sys.stdout.write(f"Result: {chosen.result}\n")


def with_tuned(chosen: options.Options, folder: DatasetFolder) -> options.Options:
    """The options with the models' tuned settings, which all given ones override.

    Raises:
        InputError: the model has no tuning on these data; of several models, none has.
    """
    where = Path(chosen.tuned) if chosen.tuned else tunings_folder(folder)
    with_file = [model for model in chosen.models if (where / f"{model}.json").exists()]
    found = []
    for model in with_file or chosen.models[:1]:
        tuning = tuning_for(model, folder, where)
        stale = is_stale(tuning, folder, tuning.given)
        state = "tuned under other settings of the dataset's file" if stale else "tuned"
        found.append(Source(str(tuning.file), merged(tuning.given, tuning.chosen or {}), state, model))
    return replace(chosen, sources=(*found, *chosen.sources))


def check_comparable(variants: Sequence[Variant], configs: Sequence[Config]) -> None:
    """Raises InputError for variants that are measured differently, or that have the same settings."""
    settings = [plain_settings(config.final_config_dict) for config in configs]
    for place, (variant, own) in enumerate(zip(variants, settings, strict=True)):
        for name in ("metrics", "topk"):
            if own[name] != settings[0][name]:
                raise InputError(
                    f"{variant.name} has {name} {own[name]}, {variants[0].name} {settings[0][name]}: a comparison "
                    "needs one, so give it for all"
                )
        if own in settings[:place]:
            other = variants[settings.index(own)]
            raise InputError(
                f"variants {other.name} and {variant.name} have the same settings; leave one out"
            )


def _settings_lines(
    config: Config, folder: DatasetFolder, chosen: options.Options, variant: Variant
) -> list[str]:
    """Lines with the sources of one variant's settings, and where better ones are known."""
    model = variant.model
    label = f"Settings of {variant.name}" if len(chosen.variants) > 1 else "Settings"
    sources = [*config.internal_sources, *base_sources(model, folder), *chosen.sources_of(variant)]
    lines = [f"{label}: {files_line(sources, model)}"]
    better = (
        None if chosen.resume or chosen.tuned is not None else hint(model, folder, config.final_config_dict)
    )
    return [*lines, f"{label}: {better}"] if better else lines


def _printed(config: Config, folder: DatasetFolder, given: Iterable[Source]) -> str:
    """All settings of one model, with their sources."""
    own = Source("the dataset", {name: config[name] for name in OF_THE_DATA})
    machine = Source("this machine", machine_settings())
    sources = [machine, *base_sources(config["model"], folder), *given, own]
    lines = [f"# Settings of {config['model']} on {folder.provenance()}", *described(config, sources), ""]
    return "\n".join(lines)


def as_before(chosen: options.Options) -> options.Options:
    """The options of a resumed run: what the command line leaves open comes from the interrupted run."""
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
        variants=chosen.variants or named([config["model"]]),
        dataset=chosen.dataset or config["dataset"],
        data_path=Path(config["data_path"]).parent if chosen.dataset is None else chosen.data_path,
        sources=(Source(f"the run of {chosen.resume}", before), *chosen.sources),
    )


LABELLED_RUN = "run_recbole.py --model=MMBee --dataset=livesim"
"""a run whose checkpoint every command accepts, for error messages"""


def load_mmbee(path: Path) -> dict[str, Any]:
    """Loads a checkpoint of MMBee, as `checkpoint.load`, to the CPU.

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
    """Raises InputError for a run that lacks a current setting."""
    newer = default_settings(config["model"]).keys() - config.final_config_dict.keys()
    if newer:
        raise InputError(
            f"{path}: of an older version, it does not know the setting {min(newer)!r}; train it again"
        )


def seeded_dataset(config: Config) -> MMBeeDataset:
    """The dataset before its split, which is equal for equal settings."""
    init_seed(config["seed"], config["reproducibility"])
    return MMBeeDataset(config)


def train_and_test(
    config: Config,
    folder: DatasetFolder,
    resume: Path | None = None,
    quiet: bool = True,
    saved: bool = True,
    tested: bool = True,
    progress: Progress | None = None,
) -> report.RunResult:
    """Trains and tests one model on a dataset folder.

    Args:
        resume: checkpoint of a run to continue.
        quiet: print only warnings of RecBole's log.
        saved: False keeps no checkpoint, and tests the last epoch's weights instead of the best.
        tested: False leaves the test split alone, as do data without one; its metrics are then none.
        progress: prints stages and epochs.
    """
    start, memory = time.perf_counter(), PeakMemory()
    with run_log(config, quiet) as log, progress.listening() if progress else contextlib.nullcontext():
        for line in [*report.provenance_lines(folder), *data_lines(config.final_config_dict, folder)]:
            log.info(line)
        log.info(config)
        begin_stage(f"reading {folder.name}")
        dataset = seeded_dataset(config)
        begin_stage(f"splitting {folder.name}")
        train_data, valid_data, test_data = data_preparation(config, dataset)
        facts = report.dataset_facts(folder, valid_data, test_data) | {
            "split_by": split_line(config.final_config_dict, folder).removeprefix("warning: "),
            "row_order": config["row_order"],
        }
        begin_stage(f"building {config['model']}")
        init_seed(config["seed"], config["reproducibility"])
        model = get_model(config["model"])(config, train_data.dataset).to(config["device"])
        log.info(model)
        trainer = resumable(get_trainer(config["MODEL_TYPE"], config["model"]))(config, model)
        if resume:
            if not isinstance(trainer, Resumable):
                raise InputError(f"model {config['model']} cannot be resumed: RecBole trains it in one go")
            trainer.resume_checkpoint(resume)
        if isinstance(trainer, Resumable):
            trainer.progress = progress
        bars = config["show_progress"]
        try:
            _, valid = trainer.fit(train_data, valid_data, saved=saved, show_progress=bars)
            test: dict[str, float] = {}
            if tested and (folder.splits is None or "test" in folder.splits):
                begin_stage("testing")
                test = trainer.evaluate(test_data, load_best_model=saved, show_progress=bars)
        except KeyboardInterrupt:
            kept = saved and isinstance(trainer, Resumable) and trainer.last_file.exists()
            raise KeyboardInterrupt(f"mmbee resume {trainer.last_file} goes on" if kept else "") from None
        result = report.RunResult(
            name=config["model"],
            model=config["model"],
            valid={name: float(value) for name, value in valid.items()},
            test={name: float(value) for name, value in test.items()},
            dataset=facts,
            settings=plain_settings(config.final_config_dict),
            seconds=round(time.perf_counter() - start, 3),
            peak_rss_mb=round(memory.megabytes(), 1),
            checkpoint=str(trainer.saved_model_file) if saved else "",
            log=log_file(log),
        )
        log.info(f"\n{report.table([result])}")
        for line in report.provenance_lines(folder):
            log.info(line)
    return result
