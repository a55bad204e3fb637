"""``recbole_configs/paper.yaml`` is the paper's model on any data, and docs/paper.md lists every setting of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from recbole.utils import argument_list

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.offline.node_vectors import GraphCLSettings, train_graphcl
from mmbee_plugin.recbole.config import settings
from mmbee_plugin.recbole.config.files import paper_settings
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.known import DATA_SETTINGS
from mmbee_plugin.recbole.config.layers import default_settings
from mmbee_plugin.recbole.run import build_config

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(?P<name>[\w.]+)` \| `(?P<value>[^`]+)` \| (?P<why>.+) \|$", re.MULTILINE)
OF_THE_DATA = {
    "category_field",
    "train_neg_sample_args",
    "mmbee_dataset",
    "mask_valid",
    "valid_in_history",
    "row_order",
    "sampler",
}
"""which columns there are, and how rows are split, drawn and scored"""
OF_THE_DISPLAY = {"loss_decimal_place"}
WRONG = "a dataset's own"


def listed() -> dict[str, Any]:
    """Every setting in the tables of docs/paper.md with its value."""
    rows = ROW.findall((ROOT / "docs" / "paper.md").read_text())
    assert len({name for name, *_ in rows}) == len(rows), "a setting is listed twice"
    return {name: yaml.safe_load(value) for name, value, _ in rows}


def effective(folder: DatasetFolder) -> dict[str, Any]:
    """All that a run with the paper's settings depends on: model, graph stage and training."""
    config = build_config("MMBee", folder, {"gpu_id": "", "show_progress": False, **paper_settings()})
    graph, graphcl = (
        each(config).model_dump() for each in (settings.graph_settings, settings.graphcl_settings)
    )
    assert graph.pop("metapaths") == tuple(config["metapaths"])
    assert graphcl.pop("width") == config["embedding_size"]
    names = {*settings.MMBeeSettings.defaults(), *argument_list.training_arguments, *DATA_SETTINGS}
    names -= {"graph", "graphcl", *OF_THE_DATA, *OF_THE_DISPLAY}
    found = {name: config[name] for name in names}
    graph["statistics"] = list(graph["statistics"])
    found |= {f"graph.{name}": value for name, value in graph.items()}
    return found | {f"graphcl.{name}": value for name, value in graphcl.items()}


def static(write: Callable[..., Path], name: str, timed: bool) -> DatasetFolder:
    """A small real folder: 12 users with 6 items each, one dense modality."""
    rows = [(f"u{user}", f"i{(user + 2 * item) % 24}") for user in range(12) for item in range(6)]
    rows = [(*pair, 1_600_000_000 + 60 * at) for at, pair in enumerate(rows)] if timed else rows
    columns = ("timestamp:float",) if timed else ()
    path = write(rows, name=name, columns=columns, items=[f"i{item}" for item in range(24)])
    np.save(path / "visual.npy", np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32))
    return DatasetFolder(path)


def test_the_paper_s_settings_by_name_are_those_of_its_file() -> None:
    assert paper_settings() == given_settings(str(ROOT / "recbole_configs" / "paper.yaml"), [])


@pytest.mark.parametrize(
    ("name", "timed"), [("tiktok", False), ("movielens", False), ("ml-100k", True), ("my", True)]
)
def test_on_static_data_every_setting_is_the_listed_one(write_folder, name, timed):
    folder = static(write_folder, name, timed)
    assert folder.kind == "real", "so that the dataset's own file counts"
    own = (ROOT / "recbole_configs" / f"{name}.yaml").is_file()
    assert own == (name != "my")
    assert effective(folder) == listed()


def test_on_live_data_every_setting_is_the_listed_one(live_path):
    assert effective(DatasetFolder(live_path)) == listed()


def test_a_dataset_s_own_file_has_no_say(write_folder, tmp_path, monkeypatch):
    """One that gets every setting wrong, for all models and for MMBee."""
    folder = static(write_folder, "hostile", timed=True)
    wrong: dict[str, Any] = {}
    for name in listed():
        section, _, entry = name.rpartition(".")
        (wrong.setdefault(section, {}) if section else wrong)[entry] = WRONG
    (tmp_path / "recbole_configs").mkdir()
    for name, content in (("hostile", {**wrong, "models": {"MMBee": wrong}}), ("paper", paper_settings())):
        (tmp_path / "recbole_configs" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    assert effective(folder) == listed()


def test_a_dataset_s_own_file_does_have_a_say_without_the_paper_s(write_folder):
    """Or the tests above would show nothing: TikTok's has values of its own."""
    own = yaml.safe_load((ROOT / "recbole_configs" / "tiktok.yaml").read_text())["models"]["MMBee"]
    own = {name: value for name, value in own.items() if name in listed() and value != listed()[name]}
    assert own.keys() >= {"backbone", "history", "num_queries"}
    config = build_config("MMBee", static(write_folder, "tiktok", timed=False), {"gpu_id": ""})
    assert {name: config[name] for name in own} == own
    assert default_settings("MMBee")["num_queries"] == listed()["num_queries"]


def test_plain_steps_at_the_listed_rate_tell_communities_apart():
    """Algorithm 1's step on a planted graph; at a hundredth of the rate it has not begun, at ten times it diverges."""
    rng = np.random.default_rng(0)
    users, authors = np.arange(400).repeat(5), np.empty(2000, dtype=np.int64)
    authors[:] = rng.integers(0, 20, 2000) * 10 + users % 10  # ten communities of 40 users and 20 authors
    u2a = donation_graph(users, authors, None, 400, 200)
    lists = [expand(Metapath.parse(name), u2a, None, top_k=50) for name in ("u2a2u", "a2u2a")]

    def nearest_of_its_own(**changes: Any) -> float:
        chosen = GraphCLSettings(**{**paper_settings()["graphcl"], **changes})
        shares = []
        for table in train_graphcl(u2a, *lists, chosen, seed=1):
            products = table.astype(np.float64) @ table.T.astype(np.float64)
            np.fill_diagonal(products, -np.inf)
            shares.append((products.argmax(axis=1) % 10 == np.arange(len(table)) % 10).mean())
        return float(np.mean(shares))

    assert nearest_of_its_own() > 0.9
    assert nearest_of_its_own(learning_rate=0.001) < 0.3 and nearest_of_its_own(learning_rate=1.0) < 0.3
