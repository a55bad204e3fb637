"""Pre-trains sharded node tables with GraphCL (Algorithm 1), in one process or in any number of them under torchrun.

Usage::

    torchrun --nproc_per_node=2 -m mmbee_plugin.torchrec.graphcl --config torchrec_configs/sample.yaml graphcl.epochs=20

The vectors are written into the shards folder, where training jobs of any number of processes start from them. Equal
settings and seed give the vectors of `mmbee_plugin.offline.node_vectors`, up to rounding.
"""

from __future__ import annotations

from pathlib import Path

from mmbee_plugin.torchrec.processes.entry import run

READS = ("data", "graphcl", "model.width", "tables.nodes.sharding", "train.seed", "train.timeout")
"""sections that the job reads, and settings of others"""


def main() -> None:
    """Reads the command line, trains, and writes the vectors."""
    from mmbee_plugin.torchrec.processes import command

    parser = command.parser(
        "mmbee_plugin.torchrec.graphcl",
        __doc__,
        f"YAML file of settings; read are {', '.join(READS)}",
        "JSON file for the losses, of every step",
    )
    parser.add_argument(
        "--snapshot",
        type=Path,
        help="a graph snapshot of the same data, of which a copy gets the vectors too",
    )
    options, settings = command.read(parser, READS)

    from mmbee_plugin.torchrec.node_vectors.training import train_nodes

    train_nodes(settings, options.snapshot, options.result)


if __name__ == "__main__":
    run(main)
