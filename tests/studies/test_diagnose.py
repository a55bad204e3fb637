"""`mmbee diagnose`: what is broken on purpose is pointed at, and what is not is ok."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.modules.mfq import OWN_GAIN
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.studies.diagnose import diagnose, diagnosis_figure
from mmbee_plugin.studies.findings import LOOK, OK
from mmbee_plugin.studies.modality_checks import hide_each, modality_findings, read_attention
from mmbee_plugin.studies.neighbour_checks import generic, neighbour_findings, read_lists
from mmbee_plugin.studies.query_checks import (
    Queries,
    between_cosine,
    cluster,
    effective_rank,
    query_findings,
    read_queries,
    within_cosines,
)


def verdicts(findings):
    return {(one.part, one.what.split(",")[0]): one.verdict for one in findings}


def queries(tokens, rates=0.2, rows=200):
    count = len(tokens)
    gifts = np.random.default_rng(0).binomial(rows, rates, count)
    tokens = tokens.astype(np.float32)
    return Queries(tokens, tokens.reshape(count, -1), np.full(count, rows), gifts)


def test_collapse_is_seen_within_an_author_and_between_authors():
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(60, 4, 16))
    tiled = np.repeat(rng.normal(size=(60, 1, 16)), 4, axis=1) + 0.01 * rng.normal(size=(60, 4, 16))
    same = np.repeat(rng.normal(size=(1, 4, 16)), 60, axis=0) + 0.01 * rng.normal(size=(60, 4, 16))
    expected = {
        "apart": (apart, [OK, OK, OK, OK]),
        "tiled": (tiled, [LOOK, LOOK, OK, OK]),
        "same": (same, [OK, OK, LOOK, LOOK]),
    }
    for name, (tokens, wanted) in expected.items():
        found = list(query_findings(queries(tokens), cluster(queries(tokens))))
        assert [one.verdict for one in found[:4]] == wanted, name
    assert effective_rank(np.eye(5)) == pytest.approx(5)
    assert effective_rank(np.ones((5, 3))) == pytest.approx(1)
    one = np.stack([np.eye(3), np.ones((3, 3))])
    np.testing.assert_allclose(within_cosines(one), [0, 1])
    assert between_cosine(np.array([[1.0, 0], [-1, 0], [0, 1]])) == pytest.approx(-1 / 3)


def test_clusters_are_set_against_gifting():
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 8, 80)
    tokens = (np.eye(16)[kinds] + 0.02 * rng.normal(size=(80, 16)))[:, None].repeat(2, axis=1)
    by_kind, alike = queries(tokens, 0.05 + 0.05 * kinds), queries(tokens)
    found = cluster(by_kind)
    assert found.explained > 0.9 and (np.diff(found.rates) >= 0).all() and found.sizes.sum() == 80
    for given, verdict in ((by_kind, OK), (alike, LOOK)):
        *_, last = query_findings(given, cluster(given))
        assert last.verdict == verdict
    assert len(cluster(queries(tokens[:5])).rates) == 2


def test_lists_that_are_the_same_for_all_are_generic():
    rng = np.random.default_rng(2)
    same = csr_matrix(np.tile(np.r_[0, np.ones(5), np.zeros(194)], (50, 1)))
    spread = np.zeros((50, 200))
    for row in spread:
        row[rng.permutation(199)[:5] + 1] = 1
    hub = spread.copy()
    hub[:, 1:] = np.roll(np.eye(199), 1, axis=1)[:50]
    hub[:, [1, 2]] = 1  # the one per cent most listed of 199
    found = {
        name: generic(csr_matrix(lists)) for name, lists in (("same", same), ("spread", spread), ("hub", hub))
    }
    assert found["same"].overlap == 1 and found["same"].distinct == pytest.approx(5)
    assert found["spread"].overlap < 0.1 and found["hub"].popular > 0.6
    told = verdicts(neighbour_findings(found))
    assert [told[name, "overlap of two nodes' lists"] for name in found] == [LOOK, OK, LOOK]
    assert [told[name, "part of entries at the 1% most listed"] for name in found] == [OK, OK, LOOK]
    nobody = {"u2a2u": generic(csr_matrix((50, 200)))}
    assert [one.verdict for one in neighbour_findings(nobody)] == [LOOK]


def test_a_modality_that_changes_nothing_is_pointed_at(live_checkpoint):
    trained = open_trained(live_checkpoint(interest="none", head="mlp"))
    with torch.no_grad():  # scores differ by content alone
        for ids in (trained.network.user, trained.network.author):
            ids.weight.zero_()
        for weight in trained.network.gtr.head.parameters():
            weight.mul_(0.1)  # so that no chance is all but 0 or 1
    whole = trained.scores("valid")
    attention, hidden = read_attention(trained), hide_each(trained)
    np.testing.assert_array_equal(trained.scores("valid"), whole)
    for shares in (attention.mass, attention.fair):
        assert sum(shares.values()) == pytest.approx(1)
    assert attention.fair["comment"] < attention.fair["speech"]  # silent segments
    assert 0 < attention.uneven < 1 and 0 < attention.apart < 1

    table = trained.network.content.tables["comment"]
    table.present = torch.zeros_like(table.present)
    attention, hidden = read_attention(trained), hide_each(trained)
    assert attention.mass["comment"] == 0 and hidden.moved["comment"] == 0 and hidden.moved["visual"] > 0.05
    told = verdicts(modality_findings(attention, hidden))
    assert told["comment", "change of the logit without it"] == LOOK
    assert told["comment", "GAUC without it"] == LOOK
    assert told["visual", "change of the logit without it"] == OK


def test_queries_and_lists_are_those_of_the_checkpoint(live_checkpoint):
    trained = open_trained(live_checkpoint())
    found = read_queries(trained, "valid", min_rows=1)
    train, rows = trained.train, trained.rows("valid")
    ids = np.unique(train.inter_feat["item_id"].numpy()[training_rows(train).kept])
    own = trained.network.content.queries.weight.detach()[ids]
    shared = trained.network.gtr.content.default_queries.detach()
    np.testing.assert_array_equal(found.own, own.numpy())
    np.testing.assert_array_equal(found.tokens, (shared + OWN_GAIN * own.unflatten(1, (4, 8))).numpy())
    assert found.rows.sum() == len(rows.inter_feat) and found.gifts.sum() == rows.positive_rows().sum()
    lists = read_lists(trained)
    assert set(lists) == {"u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a"}
    user = int(np.flatnonzero(np.diff(lists["u2a2u"].indptr))[0])
    ids, weights = trained.network.interest.lists["u2a2u"].of(torch.tensor([user]), None)
    assert sorted(lists["u2a2u"][user].indices) == sorted(ids[weights > 0].tolist())
    with pytest.raises(InputError, match="0 authors have 1000 training rows"):
        read_queries(trained, min_rows=1000)


def test_the_command_says_what_to_look_at(live_checkpoint, tmp_path, mmbee, check_report):
    path, out = live_checkpoint(interest="bdr"), tmp_path / "diagnosis.html"
    status, printed, _ = mmbee("diagnose", path, f"--out={out}")
    assert status == 0
    assert "of this checkpoint ask" in printed and "u2a2u" in printed and "SIMULATED" in printed
    assert "of this checkpoint" in check_report(out)

    bare = diagnose(open_trained(live_checkpoint(interest="none", content="none")))
    _, sheet, _ = diagnosis_figure(bare)
    assert not sheet.rows and "no queries and no content and no graph" in " ".join(sheet.notes)
