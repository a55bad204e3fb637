"""The same weights give the same losses of a batch in both adapters, whatever is learned."""

import numpy as np
import pytest
import torch

from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.parts import BACKBONES, INTERESTS
from mmbee_plugin.recbole.data.dataloader import FOLD
from mmbee_plugin.recbole.data.rows import SEGMENT, TASKS
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.torchrec.batches.reader import GlobalRows


@pytest.mark.parametrize(
    "parts",
    [
        {"backbone": "mmoe", "content": "mta", "interest": "bdr"},
        {"backbone": "mmoe", "content": "none", "interest": "gie"},
        {"backbone": "dien", "content": "ego_fusion", "interest": "gie", "head": "mlp"},
        {"backbone": "sim", "content": "mfq", "interest": "bdr", "head": "dot", "search": "hard"},
        {"backbone": "sim", "content": "mfq", "interest": "bdr", "head": "dot", "search": "soft"},
        {"backbone": "mean", "content": "none", "interest": "gie", "head": "mlp", "pooling": "set"},
    ],
    ids=lambda parts: parts["backbone"] + parts.get("search", ""),
)
def test_losses_of_a_labelled_batch_agree(live_pair, parts):
    """With histories of earlier days, the past's neighbours, auxiliary losses, and several tasks where there are."""
    both = live_pair(**parts)
    dataset = both.dataset
    folds = training_rows(dataset).folds
    for fold in (0, 4):
        rows = np.flatnonzero(folds == fold)[:50]
        chosen = dataset.inter_feat[torch.from_numpy(rows)]
        labels, tasks = chosen["label"].numpy().astype(np.int64), chosen[TASKS].numpy()
        assert (tasks < 0).any()
        users, authors = dataset.user_rows[chosen["user_id"]], dataset.item_rows[chosen["item_id"]]
        positions = dataset.positions_by_day[rows].astype(np.int64)
        segments, times = chosen[SEGMENT].numpy(), dataset.times[rows]
        same = GlobalRows(users, authors, positions, labels, fold, 0, segments, tasks, times)
        batch = both.maker.train(same, epoch=0)
        dataset.add_history(chosen, dataset.training_history(torch.from_numpy(rows)))
        chosen[FOLD] = torch.full((len(rows),), fold)
        torch.manual_seed(5)  # of DIEN's random behaviours
        expected = both.ours.train().calculate_loss(chosen)
        torch.manual_seed(5)
        found, _ = both.model.train()(batch)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "loss", "user_ids"),
    [
        ("mean", "softmax", True),
        ("mean", "softmax", False),
        ("sasrec", "softmax", True),
        ("sasrec", "softmax", False),
        ("sim", "softmax", True),
        ("sim", "softmax", False),
        ("din", "bpr", True),
        ("din", "bpr", False),
        ("sim", "bce", True),
        ("mean", "bce", True),
    ],
)
def test_losses_of_a_batch_agree(pair, backbone, loss, user_ids):
    """With cross-fitted neighbours, prefixes as histories, and SIM's auxiliary task."""
    chosen = {"content": "mfq", "interest": "gie", "head": "dot", "searched": 3}
    both = pair(backbone=backbone, loss=loss, user_ids=user_ids, **chosen)
    both.check_losses()
    ours, model = both.ours, both.model
    assert model.scorer.inputs.shares_pool == (loss == "softmax" and not ours.gtr.pays_per_pair)
    assert ("user" in ours.tables()) == any(".user.weight" in name for name in model.state_dict()) == user_ids


@pytest.mark.parametrize("weighted", [True, False], ids=["by score", "plain"])
@pytest.mark.parametrize("pooling", GIE.POOLINGS)
def test_means_over_neighbours_agree(pair, pooling, weighted):
    """Over metapaths or sets, by score or plain, with attributes: of the whole graph, and cross-fitted."""
    chosen = {"pooling": pooling, "neighbour_weights": weighted, "metapaths": list(PAPER_METAPATHS)}
    parts = {"backbone": "mean", "content": "none", "interest": "gie", "head": "mlp", "loss": "softmax"}
    both = pair(**chosen, **parts, user_ids=True)
    own = both.ours.gtr.settings
    assert own == both.model.scorer.gtr.settings and own.attribute_width
    assert (own.pooling, own.neighbour_weights) == (pooling, weighted)
    both.check_logits(seed=7)
    both.check_losses()


@pytest.mark.parametrize("interest", INTERESTS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_pool_is_shared_where_no_pair_pays(pair, backbone, interest):
    """RecBole asks the model it built, TorchRec the settings of one it has yet to build."""
    both = pair(backbone=backbone, content="none", interest=interest, loss="softmax", searched=3)
    assert both.model.scorer.inputs.shares_pool != both.ours.gtr.pays_per_pair
