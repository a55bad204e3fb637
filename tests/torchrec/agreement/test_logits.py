"""The same weights give the same logits in both adapters, whatever the parts."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, INTERESTS
from mmbee_plugin.modules.shapes import Search
from mmbee_plugin.recbole.data.dataloader import MMBeeFullSortLoader
from mmbee_plugin.torchrec.batches.reader import EvalReader
from mmbee_plugin.torchrec.shards.write import write_shards

PARTS = [
    (*parts, ("mlp", "dot")[number % 2])
    for number, parts in enumerate(itertools.product(BACKBONES, CONTENTS, INTERESTS))
]
"""every backbone, content and interest, the heads in turn"""
PAIRED = [
    PARTS[(backbone * len(CONTENTS) + content) * len(INTERESTS) + (backbone + content) % len(INTERESTS)]
    for backbone, content in itertools.product(range(len(BACKBONES)), range(len(CONTENTS)))
]
"""any two of backbone, content and interest together"""


@pytest.mark.parametrize(("backbone", "content", "interest", "head"), PARTS)
def test_logits_agree(pair, backbone, content, interest, head):
    chosen = {"backbone": backbone, "content": content, "interest": interest, "head": head}
    pair(**chosen, loss="bpr", searched=3).check_logits(seed=3)


@pytest.mark.parametrize("head", ["mlp", "dot"])
@pytest.mark.parametrize("content", ["mfq", "mta"])
def test_logits_agree_with_content_of_another_width(pair, content, head):
    """And with queries of the author's alone."""
    parts = {"backbone": "sim", "content": content, "interest": "gie", "head": head, "searched": 3}
    both = pair(**parts, loss="bpr", mfq_width=8, shared_queries=False)
    own = both.ours.content
    assert own.num_queries == 0 or own.queries.weight.shape[1] == 4 * 8
    both.check_logits(seed=4)


@pytest.mark.parametrize(("backbone", "content", "interest", "head"), PAIRED)
def test_logits_agree_on_live_data(live_pair, live, backbone, content, interest, head):
    """Of test rows, each with the last three segments of its moment."""
    chosen = {"backbone": backbone, "content": content, "interest": interest, "head": head}
    live_pair(**chosen).check_logits_of_rows(live[1][2])


@pytest.mark.parametrize("short", [0, 2])
@pytest.mark.parametrize("search", get_args(Search))
def test_both_searches_agree(live_pair, live, search, short):
    """Of histories of 8, of which one, the newest or the most relevant of those that match, is kept."""
    parts = {"backbone": "sim", "content": "none", "interest": "none", "head": "mlp"}
    both = live_pair(**parts, search=search, searched=1, short_length=short)
    assert both.ours.gtr.backbone.settings.search == search
    both.check_logits_of_rows(live[1][2])


def test_dropout_reaches_both_models(pair):
    chosen = {"dropout": 0.125, "history_dropout": 0.25}
    both = pair(backbone="sasrec", content="none", interest="none", head="dot", **chosen)
    for gtr in (both.ours.gtr, both.model.scorer.gtr):
        assert (gtr.head.dropout.p, gtr.backbone.dropout.p) == (0.125, 0.25)


def test_logits_agree_on_timed_histories(tmp_path, recbole, pairs_of):
    """SIM's time gaps and its unit for the newest behaviours, on data of ids alone."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "timed"
    folder.mkdir()
    pairs = [(user, item) for user in range(20) for item in rng.choice(30, size=12, replace=False)]
    times = 1_690_000_000 + rng.permutation(len(pairs))  # seconds apart, three years after the first
    times[0] = 1_600_000_000
    lines = [f"u{user}\ti{item}\t{time}" for (user, item), time in zip(pairs, times, strict=True)]
    (folder / "timed.inter").write_text(
        "\n".join(["user_id:token\titem_id:token\ttimestamp:float", *lines]) + "\n"
    )
    write_shards(DatasetFolder(folder), tmp_path / "shards", graph=None)
    parts = {"backbone": "sim", "content": "none", "interest": "none", "head": "mlp", "loss": "bpr"}
    parts |= {"searched": 3, "short_length": 2, "init_std": 0.5}
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
    config, splits = recbole(folder, eval_args=split, **parts)
    both = pairs_of((config, splits), {"shards": str(tmp_path / "shards")})(**parts)
    ours, model, dataset = both.ours, both.model, both.dataset
    assert ours.gtr.backbone.gap is not None
    ours.gtr.backbone.gap.weight.data.normal_()
    model.scorer.gtr.load_state_dict(ours.gtr.state_dict())
    batch = both.check_logits(seed=5)  # as of the end of training
    assert batch.users.history_gap.unique().numel() > 3

    asked = next(EvalReader(both.store, "test").ranked(1000))
    ranked, *_ = next(iter(MMBeeFullSortLoader(config, splits[2], None)))
    order = np.argsort(dataset.user_rows[ranked["user_id"].numpy()])
    assert np.array_equal(asked.times, ranked["timestamp"].numpy()[order])
    users = both.maker.users(asked.users, times=asked.times)
    lengths = users.users.history_mask.sum(1)
    for row, moment, gaps, length in zip(
        asked.users, asked.times, users.users.history_gap, lengths, strict=True
    ):
        user = int(both.store.user_tokens()[row][1:])
        elapsed = moment + 1_600_000_000 - np.sort(times[12 * user : 12 * user + 12])[:length]
        assert gaps[:length].tolist() == np.floor(np.log2(1 + elapsed)).astype(int).tolist()
    authors = both.maker.authors(dataset.item_rows[1:])
    with torch.no_grad():
        found = model.scorer.gtr.score_all(model.encode_users(users), model.encode_authors(authors))
        expected = ours.full_sort_predict(ranked)[:, 1:]
    torch.testing.assert_close(found, expected[order], rtol=0, atol=1e-5)
