"""Modalities whose names torch refuses are read alike by both adapters."""

import json
import shutil

import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.modules.exchange import WORD_TABLES, word_table
from mmbee_plugin.torchrec.sharded.sharding import table_names
from mmbee_plugin.torchrec.sharded.workload import workload
from mmbee_plugin.torchrec.shards.write import write_shards


@pytest.fixture(scope="module")
def renamed(sample_folder, tmp_path_factory):
    """The sample with modalities whose names torch refuses, dense ones and a bag."""
    names = {"visual": "clip.vit", "acoustic": "training", "text": "keys %.x"}
    copy = shutil.copytree(sample_folder.path, tmp_path_factory.mktemp("renamed") / sample_folder.name)
    for old, new in names.items():
        for file in [*copy.glob(f"{old}.np*"), *copy.glob(f"{old}.present.npy")]:
            file.rename(copy / file.name.replace(old, new, 1))
    description = json.loads((copy / "dataset.json").read_text())
    description["modalities"] = {
        names[old]: {**entry, "file": entry["file"].replace(old, names[old], 1)}
        for old, entry in description["modalities"].items()
    }
    (copy / "dataset.json").write_text(json.dumps(description))
    return DatasetFolder(copy)


def test_modalities_of_any_name_agree(renamed, tmp_path, recbole, pairs_of):
    """Logits and losses with their attributes, a job's plan, and the tables of an exchange file."""
    paths = {"metapaths": ["u2a", "a2a"]}
    graph = {"folds": 3, "fold_by": "order", "reach_top_k": 0}
    write_shards(renamed, tmp_path / "shards", GraphSettings(**graph, **paths), None, rows_per_group=200)
    own = {"history": "prefix", "MAX_ITEM_LIST_LENGTH": 8, "node_tables": "fresh", **paths}
    splits = recbole(renamed.path, graph=graph, **own)
    data = {"shards": str(tmp_path / "shards"), "history": "prefix", "history_length": 8}
    parts = {"backbone": "mean", "content": "mfq", "interest": "gie", "head": "mlp", "loss": "bpr"}
    both = pairs_of(splits, data)(**parts, **paths, node_tables="fresh", user_ids=True)
    ours, tables, inputs = both.ours, both.model.tables, both.model.scorer.inputs
    assert list(inputs.modalities) == list(renamed.modalities) == list(ours.content.tables)
    both.check_logits(seed=7)
    both.check_losses()
    word_tables = {name for name in ours.tables() if name.startswith(WORD_TABLES)}
    assert word_tables == {word_table("keys %.x")} <= set(table_names(tables))
    assert set(workload(inputs, both.settings, 2)[1]) >= set(table_names(tables))
