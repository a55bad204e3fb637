"""The command line that all jobs have: a file of settings, entries that replace the file's, a file for the result."""

from __future__ import annotations

import argparse
import logging
import os
import warnings
from pathlib import Path

from mmbee_plugin.files import check_writable
from mmbee_plugin.settings.listing import groups, text_of
from mmbee_plugin.torchrec.processes.versions import check_versions
from mmbee_plugin.torchrec.settings import Settings, read_settings


def parser(module: str, description: str | None, config: str, result: str) -> argparse.ArgumentParser:
    """The parser of a job's command, to which it may add its own options.

    Args:
        module: as after ``python -m``.
        description: the module's text, of which the first line is shown.
        config, result: what help says of the two files.
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


def read(made: argparse.ArgumentParser) -> tuple[argparse.Namespace, Settings]:
    """The options of this process and the job's settings; all is checked that can be without the data.

    Raises:
        InputError: bad settings, or a pair of torch and fbgemm that does not go together.
    """
    options = made.parse_intermixed_args()
    show_progress(int(os.environ.get("RANK", 0)) == 0)
    check_versions()
    if options.result is not None:
        check_writable(options.result)
    return options, read_settings(options.config, options.overrides)


def show_progress(first: bool) -> None:
    """The first process tells how training goes; of TorchRec's messages all show the errors alone."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("mmbee_plugin").setLevel(logging.INFO if first else logging.ERROR)
    for library in ("torchrec", "torch.fx"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)  # TorchRec's own, of parts of torch that it uses
