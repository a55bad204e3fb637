"""Trains the model over sharded tables, in one process or in any number of them under torchrun.

Usage::

    python -m mmbee_plugin.torchrec.train --config torchrec_configs/sample.yaml
    torchrun --nproc_per_node=2 -m mmbee_plugin.torchrec.train --config torchrec_configs/sample.yaml train.epochs=5

Entries such as ``train.epochs=5`` replace those of the file.
"""

from __future__ import annotations

import argparse
import logging
import os
import warnings
from pathlib import Path

from mmbee_plugin.torchrec.launch import run
from mmbee_plugin.torchrec.settings import read_settings
from mmbee_plugin.torchrec.versions import check_versions


def main() -> None:
    """Reads the command line, checks all that can be checked without the data, and trains."""
    parser = argparse.ArgumentParser(
        prog="mmbee_plugin.torchrec.train", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file of settings")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint, if there is one"
    )
    parser.add_argument("--result", type=Path, help="JSON file for losses and metrics")
    parser.add_argument(
        "overrides", nargs="*", metavar="section.key=value", help="settings that replace the file's"
    )
    options = parser.parse_intermixed_args()
    show_progress(int(os.environ.get("RANK", 0)) == 0)
    check_versions()
    settings = read_settings(options.config, options.overrides)

    from mmbee_plugin.torchrec.loop import train  # only now: it imports TorchRec

    train(settings, options.resume, options.result)


def show_progress(first: bool) -> None:
    """The first process tells how training goes; of TorchRec's messages all show the errors alone."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("mmbee_plugin").setLevel(logging.INFO if first else logging.ERROR)
    for library in ("torchrec", "torch.fx"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)  # TorchRec's own, of parts of torch that it uses


if __name__ == "__main__":
    run(main)
