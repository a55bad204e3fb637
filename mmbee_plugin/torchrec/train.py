"""Trains the model over sharded tables, in one process or in any number of them under torchrun.

Usage::

    python -m mmbee_plugin.torchrec.train --config torchrec_configs/sample.yaml
    torchrun --nproc_per_node=2 -m mmbee_plugin.torchrec.train --config torchrec_configs/sample.yaml train.epochs=5

Entries such as ``train.epochs=5`` replace those of the file.
"""

from __future__ import annotations

from mmbee_plugin.torchrec.processes.entry import run


def main() -> None:
    """Reads the command line, checks all that can be checked without the data, and trains."""
    from mmbee_plugin.torchrec.processes import command

    parser = command.parser(
        "mmbee_plugin.torchrec.train", __doc__, "YAML file of settings", "JSON file for losses and metrics"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint, if there is one"
    )
    options, settings = command.read(parser, ("data", "model", "tables", "train", "checkpoint"))

    from mmbee_plugin.torchrec.training.loop import train

    train(settings, options.resume, options.result)


if __name__ == "__main__":
    run(main)
