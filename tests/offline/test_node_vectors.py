import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.making import InProcess
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.modules.graphcl import GraphCLLoss
from mmbee_plugin.modules.rowwise import RowwiseAdagrad
from mmbee_plugin.offline.node_table import EPS
from mmbee_plugin.offline.node_vectors import Draws, GraphCLSettings, node_stage, train_graphcl

SETTINGS = GraphCLSettings(width=16, epochs=8, batch_size=128, negatives=64)
N_USERS, N_AUTHORS, COMMUNITIES = 300, 200, 5


@pytest.fixture(scope="module")
def planted():
    """Users and authors in five communities; nine gifts of ten stay within."""
    random = np.random.default_rng(0)
    users = np.repeat(np.arange(N_USERS), 8)
    community = np.where(
        random.random(len(users)) < 0.9, users % COMMUNITIES, random.integers(0, COMMUNITIES, len(users))
    )
    authors = random.integers(0, N_AUTHORS // COMMUNITIES, len(users)) * COMMUNITIES + community
    u2a = donation_graph(users, authors, None, N_USERS + 1, N_AUTHORS)  # the last user gave nothing
    return u2a, *(expand(Metapath.parse(name), u2a, None, top_k=20) for name in ("u2a2u", "a2u2a"))


def link_auc(left, right):
    """How often a pair of one community scores above a pair of two."""
    scores = left @ right.T
    same = np.arange(len(left))[:, None] % COMMUNITIES == np.arange(len(right)) % COMMUNITIES
    if left is right:
        np.fill_diagonal(scores, np.nan)
    inside, across = (np.sort(part[~np.isnan(part)]) for part in (scores[same], scores[~same]))
    return np.searchsorted(across, inside).mean() / len(across)


def by_autograd(u2a, users, authors, settings, seed):
    """The training of `train_graphcl` with torch's gradients and dense optimisers: tables and each epoch's loss."""
    generator = torch.Generator().manual_seed(seed)
    tables = [
        torch.nn.Parameter(torch.randn(count, settings.width, generator=generator) / 4) for count in u2a.shape
    ]
    if settings.optimiser == "sgd":
        optimiser = torch.optim.SGD(tables, settings.learning_rate)
    else:
        optimiser = RowwiseAdagrad(tables, settings.learning_rate, EPS)
    draws = Draws(users, authors, settings, seed)
    terms = [(draws.users, 0, 0), (draws.authors, 1, 1)]
    if settings.user_author:
        gifts = Neighbours(u2a.indptr, u2a.indices, u2a.data)
        terms.append((draws.sampler(gifts, u2a.shape[1], 2, same_type=False), 0, 1))
    loss_of = GraphCLLoss(settings.nce_weight, settings.temperature, settings.normalise)
    means = []
    for _ in range(settings.epochs):
        losses = []
        for batch in draws.epoch():
            for sampler, of_nodes, of_others in terms:
                pairs = sampler.sample(batch[of_nodes])
                nodes, others = tables[of_nodes][pairs.nodes], tables[of_others]
                loss = loss_of(
                    nodes, others[pairs.positives], others[pairs.negatives], torch.from_numpy(pairs.mask)
                )
                optimiser.zero_grad()
                (loss * len(nodes)).backward()
                optimiser.step()
                losses.append(loss.item())
        means.append(np.mean(losses))
    return [table.detach().numpy() for table in tables], means


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"by_weight": False, "positives": 2, "negatives": 9, "nce_weight": 0.4},
        {"normalise": True, "temperature": 0.2, "optimiser": "sgd"},
        {"user_author": True},
        {"user_author": True, "optimiser": "sgd", "learning_rate": 0.02},
    ],
)
def test_training_is_that_of_autograd(planted, change):
    settings = SETTINGS.replace(epochs=2, **change)
    losses = []
    tables = train_graphcl(*planted, settings, 7, lambda epoch, loss, tables: losses.append(loss))
    expected, means = by_autograd(*planted, settings, 7)
    np.testing.assert_allclose(losses, means, rtol=1e-6)
    for table, other in zip(tables, expected, strict=True):
        np.testing.assert_allclose(table, other, atol=5e-6)


@pytest.mark.parametrize(
    "change", [{}, {"normalise": True, "temperature": 0.2, "epochs": 14}, {"by_weight": False}]
)
def test_planted_communities_are_found(planted, change):
    users, authors = train_graphcl(*planted, SETTINGS.replace(**change), seed=1)
    assert users.shape == (N_USERS + 1, 16) and authors.shape == (N_AUTHORS, 16)
    assert users.dtype == authors.dtype == np.float32
    for table in (users[:N_USERS], authors):
        if change.get("normalise"):
            table = table / np.linalg.norm(table, axis=1, keepdims=True)
        assert link_auc(table, table) > 0.85


def test_plain_steps_learn_too(planted):
    tables = train_graphcl(*planted, SETTINGS.replace(optimiser="sgd", learning_rate=0.1, epochs=20), seed=1)
    assert min(link_auc(table, table) for table in (tables[0][:N_USERS], tables[1])) > 0.8


def test_only_the_user_author_term_ties_the_tables(planted):
    apart = train_graphcl(*planted, SETTINGS, seed=1)
    tied = train_graphcl(*planted, SETTINGS.replace(user_author=True), seed=1)
    assert link_auc(tied[0][:N_USERS], tied[1]) > 0.8
    assert link_auc(apart[0][:N_USERS], apart[1]) < 0.7


def test_same_seed_same_tables(planted):
    first, again, other = (train_graphcl(*planted, SETTINGS.replace(epochs=2), seed) for seed in (3, 3, 4))
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one != three).any()


def test_a_node_without_positives_keeps_its_start_vector_unless_drawn(planted):
    seen = []
    settings = SETTINGS.replace(epochs=1, negatives=1)
    start = train_graphcl(*planted, settings.replace(learning_rate=1e-30), seed=2)[0]
    users, _ = train_graphcl(
        *planted, settings, 2, progress=lambda epoch, loss, tables: seen.append((epoch, loss))
    )
    assert (users[:N_USERS] != start[:N_USERS]).any(1).all()
    np.testing.assert_array_equal(users[N_USERS], start[N_USERS])
    assert len(seen) == 1 and seen[0][0] == 1 and np.isfinite(seen[0][1])


def test_loss_falls_and_progress_may_stop(planted):
    losses = []

    def watch(epoch, loss, tables):
        losses.append(loss)
        return epoch == 4

    train_graphcl(*planted, SETTINGS, 0, progress=watch)
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_is_the_last_stage_of_a_snapshot(planted, tmp_path):
    u2a, users, authors = planted
    rows, columns = u2a.nonzero()
    made = Interactions(rows, columns, np.asarray(u2a[rows, columns]).ravel(), *u2a.shape)
    settings = SETTINGS.replace(epochs=1)
    snapshot = build(made, GraphSettings(amount="amount", top_k=20), tmp_path, nodes=node_stage(settings, 5))
    for stored, trained in zip(
        snapshot.nodes(), train_graphcl(u2a, users, authors, settings, 5), strict=True
    ):
        np.testing.assert_array_equal(stored, trained)
    assert snapshot.manifest["nodes"]["seed"] == 5
    stages = []
    build(
        made,
        GraphSettings(amount="amount", top_k=20),
        tmp_path,
        nodes=node_stage(settings, 6),
        progress=stages.append,
    )
    assert "nodes" in stages


@pytest.mark.parametrize(
    "chosen", [{}, {"exclude_own": False}, {"normalisation": "symmetric"}, {"walk_max_users": 9}]
)
def test_all_neighbours_are_those_of_lists_without_an_end(planted, tmp_path, chosen):
    u2a = planted[0]
    rows, columns = u2a.nonzero()
    made = Interactions(rows, columns, np.asarray(u2a[rows, columns]).ravel(), *u2a.shape)
    graph = GraphSettings(amount="amount", top_k=20, metapaths=("u2a2u",), **chosen)
    settings = SETTINGS.replace(epochs=1, by_weight=False, all_neighbours=True)
    given = []

    def train(*inputs):
        given.extend(inputs[1:])
        return np.zeros((N_USERS + 1, 1)), np.zeros((N_AUTHORS, 1))

    build(made, graph, tmp_path, nodes=replace(node_stage(settings, 5), train=train))
    whole = graph.replace(top_k=N_USERS)
    for found, name in zip(given, ("u2a2u", "a2u2a"), strict=True):
        lists = InProcess(made, whole).lists(name).along(name).all()
        assert np.diff(lists.indptr).max() > 50 and lists.indptr.tolist() == found.indptr.tolist()
        pairs = [csr_matrix((one.weights, one.ids, one.indptr)) for one in (lists, found)]
        np.testing.assert_allclose(*(one.toarray() for one in pairs), rtol=1e-6)


def test_stored_lists_cut_what_is_drawn_of_a_hub_unless_all_neighbours_are(tmp_path):
    """An author whom 200 users gave to, each of whom has 199 neighbours along u2a2u."""
    hub = Interactions(np.arange(200), np.zeros(200, int), None, 200, 1)
    drawn, keys = {}, {}
    for whole in (False, True):
        settings = SETTINGS.replace(by_weight=False, epochs=1, all_neighbours=whole)
        stage = node_stage(settings, 0)

        def draw(u2a, users, authors, whole=whole, settings=settings):
            draws = Draws(users, authors, settings, 0)
            pairs = [draws.users.sample(np.arange(200)).positives for _ in range(20)]
            drawn[whole] = len(np.unique(pairs))
            return np.zeros((200, 1)), np.zeros((1, 1))

        built = build(hub, GraphSettings(), tmp_path, nodes=replace(stage, train=draw))
        keys[whole] = built.manifest["key"]
    assert drawn == {False: 51, True: 200} and len(set(keys.values())) == 2


def test_keys_from_before_all_neighbours_stay():
    assert "all_neighbours" not in node_stage(SETTINGS, 0).settings


@pytest.mark.parametrize(
    ("option", "value"),
    [("width", 0), ("epochs", 0), ("learning_rate", 0.0), ("temperature", -1), ("optimiser", "adam")],
)
def test_bad_settings(option, value):
    with pytest.raises(InputError, match=option):
        GraphCLSettings(**{option: value})


def test_the_graph_stage_needs_neither_recbole_nor_torch():
    script = "import sys, mmbee_plugin.graph.build; sys.exit(bool({'torch', 'recbole'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
