"""Trains the node tables (Algorithm 1) where they are sharded. One process, or any number under torchrun::

torchrun --nproc_per_node=2 -m mmbee_plugin.torchrec.graphcl --config torchrec_configs/sample.yaml graphcl.epochs=20

The vectors are written into the shards folder, from where a training job starts its tables, whatever its number of
processes. With equal settings and seed they are those of :func:`mmbee_plugin.nodes.train_graphcl`, up to rounding.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmbee_plugin.torchrec.launch import run
from mmbee_plugin.torchrec.settings import read_settings
from mmbee_plugin.torchrec.train import show_progress
from mmbee_plugin.torchrec.versions import check_versions


def main() -> None:
    """Reads the command line, trains, and writes the vectors."""
    parser = argparse.ArgumentParser(
        prog="mmbee_plugin.torchrec.graphcl", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file of settings; reads data, "
                        "graphcl, model.width, tables.nodes.sharding, train.seed and train.timeout")  # fmt: skip
    parser.add_argument(
        "--snapshot",
        type=Path,
        help="a graph snapshot of the same data, of which a copy gets the vectors too",
    )
    parser.add_argument("--result", type=Path, help="JSON file for the losses, of every step")
    parser.add_argument(
        "overrides", nargs="*", metavar="section.key=value", help="settings that replace the file's"
    )
    options = parser.parse_intermixed_args()
    show_progress(int(os.environ.get("RANK", 0)) == 0)
    check_versions()
    settings = read_settings(options.config, options.overrides)

    from mmbee_plugin.torchrec.node_training import train_nodes  # only now: it imports TorchRec

    train_nodes(settings, options.snapshot, options.result)


if __name__ == "__main__":
    run(main)
