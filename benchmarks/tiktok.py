"""Adds controls and other choices to the rows of `mmbee table 3`, with the same cells, measures and report.

mmbee data convert hkuds SRC datasets/tiktok
python benchmarks/tiktok.py --split test                      # with BPR and the effect of the file's order
python benchmarks/tiktok.py --ablate --split valid --seeds 2  # MMBee with one choice made otherwise at a time
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

from ablations import ABLATIONS
from walks import favoured_walk

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.experiments.rows import chosen
from mmbee_plugin.experiments.training import SPLITS
from mmbee_plugin.recbole.config.files import config_folder
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.sources import of_model
from mmbee_plugin.tables.command import TableOptions
from mmbee_plugin.tables.ranking.command import ranking_table
from mmbee_plugin.tables.ranking.rows import REFERENCE, RankedRow, table_rows

ORDER = of_model(given_settings(str(config_folder() / "tiktok-order.yaml"), []), "MMBee")
"""settings that take the file's row order as time"""
CONTROLS = (
    RankedRow("BPR", model="BPR", tuning="BPR"),
    RankedRow("MMBee, row order read", ORDER, model="MMBee", tuning="MMBee"),
    # best integer strength on validation (order_artefact.py)
    RankedRow("walk u-a-u-a-u-a, order", count=partial(favoured_walk, nodes="uauaua", strength=3.0)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("datasets/tiktok"))
    parser.add_argument("--split", choices=SPLITS, default="valid")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--ablate", action="store_true", help="MMBee with one choice made otherwise at a time"
    )
    parser.add_argument("--rows", nargs="+", default=[], help="these rows only, and the reference")
    parser.add_argument(
        "--reference", default=REFERENCE, metavar="ROW", help="the row that others are set against"
    )
    parser.add_argument("--cells", type=Path, default=Path("results/cells"))
    parser.add_argument("--out", type=Path, default=Path("results/tiktok"))
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="cells made side by side, one thread each"
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="further settings of every model")
    args = parser.parse_args()
    ablations = tuple(
        RankedRow(name, given_settings(None, extra), model="MMBee", tuning="MMBee")
        for name, extra in ABLATIONS.items()
    )
    known = ablations if args.ablate else (*table_rows(), *CONTROLS)
    rows = chosen(known, [*args.rows, args.reference] if args.rows else [], "table 3")
    folder = DatasetFolder(args.folder)
    given = given_settings(None, [f"--{text}" for text in args.settings])
    options = TableOptions(
        3, folder.name, args.folder.parent, args.seeds, args.split, (), args.jobs, args.cells, args.out
    )
    print("\n".join(ranking_table(rows, args.reference, folder, given, options)))


if __name__ == "__main__":
    main()
