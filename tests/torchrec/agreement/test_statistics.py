"""A statistic of the gifts that is a function and a row, here of the test's own, reaches both models by itself."""

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.metapaths import Neighbours
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.statistics import STATISTICS
from mmbee_plugin.torchrec.shards.write import write_shards

GRAPH = {"folds": 3, "fold_by": "order", "reach_top_k": 0, "statistics": ["content", "degree"]}
PATHS = {"metapaths": ["u2a", "u2a2u", "a2a"]}


def degree(gifts, features):
    """How many gifts an author got, and how many a user made; one without any lacks it."""
    columns = {}
    for end, nodes, count in (("a", gifts.authors, gifts.n_authors), ("u", gifts.users, gifts.n_users)):
        made = np.bincount(nodes, minlength=count)
        values = (made - made.mean()) / made.std()
        columns[f"degree_{end}"] = Attributes(values[:, None].astype(np.float32), made > 0, end)
    return columns


@pytest.fixture
def both(sample_folder, tmp_path, recbole, pairs_of, monkeypatch):
    """Makes both models on data with the statistic, cross-fitted."""
    monkeypatch.setitem(STATISTICS, "degree", degree)
    write_shards(sample_folder, tmp_path / "shards", GraphSettings(**GRAPH, **PATHS), rows_per_group=200)
    own = {"history": "prefix", "MAX_ITEM_LIST_LENGTH": 8, "node_tables": "fresh", **PATHS}
    splits = recbole(sample_folder.path, graph=GRAPH, **own)
    data = {"shards": str(tmp_path / "shards"), "history": "prefix", "history_length": 8}
    parts = {"backbone": "mean", "content": "none", "interest": "gie", "head": "mlp", "loss": "softmax"}
    make = pairs_of(splits, data)
    return lambda **chosen: make(**parts, **PATHS, node_tables="fresh", user_ids=True, **chosen)


@pytest.mark.parametrize("pooling", ["concat", "set"])
def test_a_statistic_is_read_alike(both, pooling):
    pair = both(pooling=pooling)
    widths = [one.width for one in pair.store.modalities.values() if one.kind == "dense"]
    assert pair.ours.gtr.settings.attribute_width == pair.store.attribute_width == sum(widths) + 2
    pair.check_logits(seed=6)
    pair.check_losses()


def test_a_statistic_sees_no_gift_of_the_fold_left_out(both):
    """What users' neighbours bring is made of other gifts in every fold, and of none that later ones know."""
    pair = both()
    store, users = pair.store, np.arange(pair.store.n_users)
    brought = []
    for fold in (None, 0, 1):
        lengths, rows, weights = store.neighbours("u2a2u", users, fold)
        lists = Neighbours(np.concatenate([[0], np.cumsum(lengths)]), rows, weights)
        stored = store.brought(lists, "u", users, fold, "u2a2u")
        made = store.brought(lists, "u", users, fold)
        np.testing.assert_allclose(stored, made, atol=1e-5)
        assert not stored[:, :-1].any() and stored[:, -1].any()
        brought.append(stored)
    assert not np.allclose(brought[0], brought[1]) and not np.allclose(brought[1], brought[2])


def test_without_attributes_no_statistic_is_read(both):
    assert both(attributes=False).ours.gtr.settings.attribute_width == 0


def test_an_unknown_statistic_is_named(sample_folder, tmp_path):
    chosen = GraphSettings(statistics=("content", "mood"))
    with pytest.raises(InputError, match="unknown 'mood'; known: content"):
        write_shards(sample_folder, tmp_path / "shards", chosen)
