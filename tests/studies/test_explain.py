"""Explanations: what is said to be left out is left out. The oracle changes the model's tables and scores a batch."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.data.histories import Histories
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.modules.objective import Objective
from mmbee_plugin.moments import clock
from mmbee_plugin.recbole.data.rows import SEGMENT
from mmbee_plugin.studies.explain import explain, explanation_figure, find_moment

GIE = {"metapaths": ["u2a2u", "u2a2a", "a2a"], "short_length": 1, "graph": {"folds": 2, "reach_top_k": 4}}
SET = {**GIE, "metapaths": ["u2a2u2a", "u2a2a", "a2a"], "pooling": "set", "neighbour_weights": False}
MEAN, MMOE = ({**GIE, "backbone": name} for name in ("mean", "mmoe"))
BDR = {"backbone": "dien", "interest": "bdr", "content": "concat", "modalities": ["speech", "comment"]}


def rich_pair(trained):
    """The tokens of a test row's user and author: three behaviours or more, to fewer authors, and content."""
    folder, histories = trained.folder, trained.train.histories
    rows, live = folder.interactions("test"), folder.rows("test")
    users = np.flatnonzero(trained.train.user_rows >= 0)
    for row in np.flatnonzero(live.labels & (live.segments >= 5)):
        user = users[trained.train.user_rows[users] == rows.users[row]][0]
        gifted = histories.items[histories.indptr[user] : histories.indptr[user + 1]]
        if len(gifted) > 2 and 1 < len(set(gifted)) < len(gifted):
            return folder.user_tokens[rows.users[row]], folder.item_tokens[rows.items[row]]
    raise AssertionError


def score(trained, moment):
    """The logit by way of RecBole's batches; a model with another loss than bce predicts logits."""
    network, train = trained.network, trained.train
    fields = {train.uid_field: moment.user, train.iid_field: moment.item, SEGMENT: moment.segment}
    batch = train.inter_feat[:1]
    for field, value in fields.items():
        batch[field] = torch.tensor([value])
    batch[train.time_field] = torch.tensor([moment.time])
    kept, network.objective = network.objective, Objective("bpr")
    with torch.no_grad():
        logit = network.predict(train.add_whole_history(batch)).item()
    network.objective = kept
    return logit


@contextmanager
def zeroed(*tables_and_rows):
    kept = [(table, row, table[row].clone()) for table, row in tables_and_rows]
    for table, row, _ in kept:
        table[row] = 0
    yield
    for table, row, values in kept:
        table[row] = values


@contextmanager
def without_list(lists, node):
    """The node has no neighbours in these lists, and so no mean attributes."""
    rows = lists.rows
    lists.rows = rows.clone()  # others share it
    lists.rows[node] = -1
    with zeroed((lists.weights_None, node)):
        yield
    lists.rows = rows


@contextmanager
def forgotten(train, user, out):
    """The user's behaviours at the places ``out`` never happened."""
    old = train.histories
    kept = np.ones(len(old.items), dtype=bool)
    kept[old.indptr[user] + np.flatnonzero(out)] = False
    users = np.repeat(np.arange(train.user_num), np.diff(old.indptr))
    train.histories = Histories(users[kept], old.items[kept], train.user_num, old.times[kept])
    yield
    train.histories = old


def changes(trained, moment):
    """Kind, name and the change of tables for each part that the pair has."""
    network, train = trained.network, trained.train
    histories, user, item = train.histories, moment.user, moment.item
    own = slice(histories.indptr[user], histories.indptr[user + 1])
    tokens = train.field2id_token[train.iid_field][histories.items[own]]
    origin = trained.folder.interactions().timestamps.min()
    for place, (token, time) in enumerate(zip(tokens, histories.times[own], strict=True)):
        out = np.arange(len(tokens)) == place
        yield "behaviour", f"{token}, {clock(origin + time)}", forgotten(train, user, out)
    for token in set(tokens):
        if (tokens == token).sum() > 1:
            name = f"{token}, all {(tokens == token).sum()}"
            yield "behaviour", name, forgotten(train, user, tokens == token)
    yield "behaviour", f"all {len(tokens)}", forgotten(train, user, tokens == tokens)
    interest = network.interest
    for path, lists in interest.lists.items():
        side, node = ("user", user) if path[0] == "u" else ("author", item)
        count = int((lists.weights_None[node] > 0).sum())
        if count:
            yield f"{side} metapath", f"{path}, {count} neighbours", without_list(lists, node)
    if network.gtr.reach is not None:
        walk = interest.reach(torch.tensor([user]), None)["reach_ids"]
        if (walk == train.item_rows[item]).any():
            yield "long walk", None, zeroed((interest.reach.lengths_None, user))
    tables = network.content.tables
    for name, table in tables.items():
        yield "modality", name, zeroed((table.present, slice(None)))
    starts = trained.folder.segments.starts
    for row in range(moment.segment - 4, moment.segment + 1):
        name = clock(starts[row]) + (" (newest)" if row == moment.segment else "")
        if any(table.present[row] for table in tables.values()):
            yield "segment", name, zeroed(*((table.present, row) for table in tables.values()))


@pytest.mark.parametrize("given", [GIE, SET, MEAN, MMOE, BDR], ids=["gie", "set", "mean", "mmoe", "bdr"])
def test_each_part_is_what_the_model_scores_without_it(live_checkpoint, given, check_answer):
    trained = open_trained(live_checkpoint(**given))
    moment = find_moment(trained, *rich_pair(trained))
    found = explain(trained, moment)
    assert found.logit == pytest.approx(score(trained, moment), rel=1e-4)
    falls = {(one.kind, one.name): one.falls[0] for one in found.occluded.falls}
    kinds = {"behaviour", "user metapath", "author metapath", "modality", "segment"}
    assert {kind for kind, _ in falls} == kinds | (
        {"long walk"} if given is not BDR else set()
    ) and not found.occluded.absent
    walks = [name for kind, name in falls if kind == "long walk"]
    expected = {}
    for kind, name, change in changes(trained, moment):
        with change:
            expected[kind, name or walks[0]] = found.logit - score(trained, moment)
    assert falls == pytest.approx(expected, abs=1e-5)
    assert all(max(abs(fall) for key, fall in falls.items() if key[0] == kind) > 1e-4 for kind, _ in falls)
    sizes = [abs(fall) for fall in falls.values()]
    assert sizes == sorted(sizes, reverse=True)
    said, sheet, plot = explanation_figure(trained, found)
    check_answer(said, sheet, plot)
    assert len(sheet.rows) == 1 + len(falls) == 1 + sum(len(trace.x) for trace in plot.figure.data)
    assert float(sheet.rows[0][4]) == pytest.approx(1 / (1 + np.exp(-found.logit)), abs=1e-4)
    assert found.share == 1
    sampled = explanation_figure(trained, replace(found, share=0.1))[1]
    odds = 0.1 * np.exp(found.logit)
    assert float(sampled.rows[0][4]) == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_the_moment_is_the_pairs_last_gift_or_the_time_given(live_checkpoint):
    trained = open_trained(live_checkpoint(**GIE, interest="none"))
    folder, segments = trained.folder, trained.folder.segments
    user, author = rich_pair(trained)
    rows, live = folder.interactions("test"), folder.rows("test")
    users, items = (np.array(folder.user_tokens)[rows.users], np.array(folder.item_tokens)[rows.items])
    last = np.flatnonzero((users == user) & (items == author) & live.labels)[-1]
    moment = find_moment(trained, user, author)
    assert moment.segment == live.segments[last] and f"gave {live.amounts[last]:g}" in moment.words

    assert find_moment(trained, user, author, segments.starts[moment.segment]).segment == moment.segment
    assert (
        find_moment(trained, user, author, segments.starts[moment.segment] - 1).segment == moment.segment - 1
    )
    folder.live = replace(folder.live, known="ended")
    last = segments.ends[moment.segment]
    assert find_moment(trained, user, author, last).segment == moment.segment
    assert find_moment(trained, user, author, last - 1).segment == moment.segment - 1
    bare = folder.item_tokens[np.setdiff1d(np.arange(8), segments.authors)[0]]
    nothing = find_moment(trained, user, bare, rows.timestamps[0])
    assert nothing.segment == -1
    assert {"modality visual", "modality speech"} <= set(explain(trained, nothing).occluded.absent)

    stranger = next(one for one in folder.user_tokens if not ((users == one) & (items == author)).any())
    moment = find_moment(trained, stranger, author)
    assert moment.segment is None and "no row in the test part" in moment.words
    newest = segments.newest(trained.train.trained_until)[folder.item_tokens.index(author)]
    as_named = explain(
        trained, find_moment(trained, stranger, author, float(segments.starts[newest] + 86_400 * 9))
    )
    assert as_named.logit != explain(trained, moment).logit
    with pytest.raises(InputError, match="is before the end of training"):
        find_moment(trained, user, author, segments.starts[0])


def test_the_command_prints_a_table_or_one_line(live_checkpoint, live_path, tmp_path):
    path, out = (
        live_checkpoint(content="none", interest="none", backbone="din"),
        tmp_path / "x" / "explain.html",
    )
    user, author = rich_pair(open_trained(path))
    given = ["explain", str(path), "--out", str(out)]
    result = CliRunner().invoke(app, [*given, "--user", user, "--author", author], catch_exceptions=False)
    assert f"score of user {user} for author {author}" in result.output and "SIMULATED" in result.output
    assert "model.pth" in out.read_text()
    for pair, wrong in (
        ((user, "a99"), "no author 'a99' among its 8"),
        (("nobody", author), "no user 'nobody'"),
    ):
        result = CliRunner().invoke(app, [*given, "--user", pair[0], "--author", pair[1]])
        assert isinstance(result.exception, InputError) and wrong in str(result.exception)
