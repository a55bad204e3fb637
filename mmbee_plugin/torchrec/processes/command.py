"""Command line of all jobs: a file of settings, entries that override it, a file for the result."""

from __future__ import annotations

import argparse
import logging
import os
import warnings
from collections.abc import Collection
from pathlib import Path

from mmbee_plugin.command.spelling import plain
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import check_writable
from mmbee_plugin.settings.listing import groups, text_of
from mmbee_plugin.settings.needs import Setting
from mmbee_plugin.torchrec.processes.versions import check_versions
from mmbee_plugin.torchrec.settings import Settings, read_settings


def parser(module: str, description: str | None, config: str, result: str) -> argparse.ArgumentParser:
    """Argument parser of a job, which may add options of its own.

    Args:
        module: as after ``python -m``.
        description: docstring of the module; help shows its first line.
        config, result: help texts of the two files.
    """
    made = argparse.ArgumentParser(
        prog=module,
        description=(description or "").split("\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=text_of(groups(Settings)),
    )
    made.add_argument("--config", type=Path, required=True, help=config)
    made.add_argument("--result", type=Path, help=result)
    made.add_argument(
        "overrides", nargs="*", metavar="section.key=value", help="settings that replace the file's"
    )
    return made


def read(made: argparse.ArgumentParser, reads: Collection[str]) -> tuple[argparse.Namespace, Settings]:
    """Reads the options and the job's settings; checks everything that does not need the data.

    Args:
        reads: sections that the job reads, and settings of others.

    Raises:
        InputError: bad settings, or given ones that the job does not read; a result file that cannot be written, torch
            and fbgemm that do not fit together.
    """
    options = made.parse_intermixed_args()
    show_progress(int(os.environ.get("RANK", 0)) == 0)
    check_versions()
    if options.result is not None:
        check_writable(options.result)
    settings = read_settings(options.config, options.overrides)
    for override in options.overrides:
        name = plain(override.removeprefix("--").partition("=")[0])
        one = Setting.found(settings, name.split("."))
        called = name if one is None else one.called
        if not any(f"{called}.".startswith(f"{each}.") or each.startswith(f"{called}.") for each in reads):
            raise InputError(f"{name}: {made.prog} does not read it; it reads {', '.join(reads)}")
    return options, settings


def show_progress(first: bool) -> None:
    """Logs progress on the first process only, and of TorchRec's messages only errors."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("mmbee_plugin").setLevel(logging.INFO if first else logging.ERROR)
    for library in ("torchrec", "torch.fx"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)  # raised by TorchRec's use of torch
