"""Shards of the generated TikTok sample, made once a session, and the start of a job's processes."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.offline.node_vectors import GraphCLSettings

MISSING = [name for name in ("torchrec", "fbgemm_gpu", "pyarrow") if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["test_*.py", "agreement"] if MISSING else []


def pytest_report_header() -> str | None:
    return f"tests/torchrec is left out: {', '.join(MISSING)} not installed" if MISSING else None


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., list[int | None]]]:
    """``start(module, count, *arguments)`` of processes.py; modules beside this file can be imported meanwhile."""
    beside = str(Path(__file__).parent)
    sys.path.insert(0, beside)
    yield importlib.import_module("processes").start
    sys.path.remove(beside)


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """The sample's dataset folder: 600 users x 1,696 authors, visual, acoustic (dense) and text (bag), no time."""
    return ensure("tiktok", tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def live_folder(live_template: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """The tiny live folder, to which snapshots may be added."""
    return DatasetFolder(
        shutil.copytree(live_template, tmp_path_factory.mktemp("datasets") / live_template.name)
    )


@pytest.fixture(scope="session")
def live_shards(live_folder: DatasetFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The live folder as shards: 6 folds by time, node vectors of 16, row groups of 100 rows. Not to be written to."""
    from mmbee_plugin.torchrec.shards.write import write_shards  # the extra may not be installed

    shards = tmp_path_factory.mktemp("shards") / "live"
    graph = GraphSettings(folds=6, fold_by="time", top_k=10, reach_own=True, reach_lift=True)
    write_shards(live_folder, shards, graph, GraphCLSettings(width=16, epochs=1), rows_per_group=100)
    return shards


@pytest.fixture(scope="session")
def sample_shards(sample_folder: DatasetFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as shards: the paper's metapaths, 3 folds by order, reach lists of 50, node vectors of 16,
    row groups of 200 rows. Not to be written to."""
    from mmbee_plugin.torchrec.shards.write import write_shards  # the extra may not be installed

    shards = tmp_path_factory.mktemp("shards") / "sample"
    graph = GraphSettings(folds=3, fold_by="order", reach_top_k=50)
    nodes = GraphCLSettings(width=16, epochs=1)
    write_shards(sample_folder, shards, graph, nodes, rows_per_group=200)
    return shards
