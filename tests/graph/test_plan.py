import numpy as np
import pytest

from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.content import ContentVectors, content_neighbours
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath, step_graphs
from mmbee_plugin.graph.plan import COSTS, plan
from mmbee_plugin.graph.population import Population, Ranks
from mmbee_plugin.graph.sharing import shared_rows
from mmbee_plugin.graph.swing import swing

SHAPE = 4000, 300, 6000


@pytest.mark.parametrize(("n", "exponent"), [(7, 0.0), (5000, 0.75), (5000, 1.0), (1, 1.0)])
def test_groups_hold_all_ranks_and_their_chances(n, exponent):
    ranks = Ranks.zipf(n, exponent)
    chances = np.arange(1, n + 1) ** -exponent / (np.arange(1, n + 1) ** -exponent).sum()
    assert ranks.counts.sum() == n and ranks.counts @ ranks.chances == pytest.approx(1)
    expected = [part.sum() for part in np.split(chances, np.cumsum(ranks.counts).astype(int)[:-1])]
    np.testing.assert_allclose(ranks.counts * ranks.chances, expected, rtol=2e-3)


@pytest.fixture(scope="module", params=[0.6, 1.0])
def drawn(request):
    """Graphs of one population, and what is expected of it."""
    n_users, n_authors, gifts = SHAPE
    laws = [np.arange(1, n + 1) ** -power for n, power in ((n_users, 0.5), (n_authors, request.param))]
    graphs = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        users, authors = (random.choice(len(law), gifts, p=law / law.sum()) for law in laws)
        graphs.append(donation_graph(users, authors, None, n_users, n_authors))
    return graphs, Population(*SHAPE, request.param)


def mean(graphs, count):
    return np.mean([count(graph) for graph in graphs])


def test_expected_degrees_and_shared_users_are_those_of_drawn_graphs(drawn):
    graphs, people = drawn
    authors = people.authors.counts

    def pairs(graph):
        kinds = (graph != 0).astype(float)
        return (kinds.T @ kinds).nnz

    def histories(graph):
        return len(shared_rows(step_graphs(Metapath.parse("u2a2u"), graph, None, "row")[0])[1]) - 1

    assert people.edges == pytest.approx(mean(graphs, lambda graph: graph.nnz), rel=0.01)
    squares = mean(graphs, lambda graph: (np.bincount(graph.indices).astype(float) ** 2).sum())
    assert authors @ people.of_authors**2 == pytest.approx(squares, rel=0.08)
    found = authors @ -np.expm1(-people.common) @ authors
    assert found == pytest.approx(mean(graphs, pairs), rel=0.08)
    singles = mean(graphs, lambda graph: np.count_nonzero(np.diff(graph.indptr) == 1))
    assert people.single @ authors == pytest.approx(singles, rel=0.03)
    counts, ones = people.histories(np.ones(len(authors)))
    assert counts.sum() == pytest.approx(mean(graphs, histories), rel=0.08)
    assert (counts @ ones) > counts.sum()  # authors in histories


@pytest.mark.parametrize("cap", [None, 20])
def test_planned_bytes_are_those_of_drawn_graphs(drawn, cap):
    graphs, people = drawn
    stages = {stage.name: stage for stage in plan(people, cap, top_k=10, width=8)}
    assert list(stages) == ["swing", *PAPER_METAPATHS, "nodes"]
    graph = graphs[0]
    a2a = swing(graph, max_users=cap)
    assert stages["swing"].output == pytest.approx(8 * a2a.nnz, rel=0.1)
    for name in PAPER_METAPATHS:
        lists = Expansion(graph, a2a, sample=capped(graph, cap)).lists(Metapath.parse(name), 10)
        assert stages[name].output == pytest.approx(lists.entries.nbytes, rel=0.15), name
        assert stages[name].whole_output >= stages[name].output
    assert stages["nodes"].output == 4 * 8 * sum(SHAPE[:2])


def test_planned_work_is_counted_as_the_kernels_do_it(drawn):
    graphs, people = drawn
    stages = {stage.name: stage for stage in plan(people)}

    def visits(graph):
        degrees = np.bincount(graph[np.diff(graph.indptr) > 1].indices).astype(float)
        return (degrees * (degrees - 1)).sum() / 2

    def products(graph):
        degrees = np.bincount(graph.indices, minlength=graph.shape[1]).astype(float)
        first = shared_rows(step_graphs(Metapath.parse("u2a2u"), graph, None, "row")[0])[1]
        return degrees[graph[first].indices].sum()

    assert stages["swing"].operations["visit"] == pytest.approx(mean(graphs, visits), rel=0.1)
    done = sum(stages["u2a2u"].operations[name] for name in ("light", "heavy"))
    assert done == pytest.approx(mean(graphs, products), rel=0.1)
    assert set().union(*(stage.operations for stage in stages.values())) <= set(COSTS)
    seconds = sum(COSTS[name] * count for name, count in stages["u2a2a"].operations.items()) / 1e9
    assert 0 < stages["u2a2a"].seconds == pytest.approx(seconds)


def test_caps_make_everything_cheaper_and_the_largest_population_is_planned_at_once():
    people = Population(10**9, 10**7, 10**9, 1.0)
    exact, some, few = (list(plan(people, cap)) for cap in (None, 20_000, 1000))
    for one, two, three in zip(exact[:-1], some[:-1], few[:-1], strict=True):
        assert one.seconds > two.seconds > three.seconds > 0
        assert one.memory >= two.memory >= three.memory > 0
    assert all(np.isfinite(stage.seconds + stage.output + stage.memory) for stage in exact)


def test_rows_of_an_author_may_be_cut():
    people = Population(*SHAPE, 0.8)
    whole, cut = (next(plan(people, swing_top_k=limit)) for limit in (None, 3))
    assert cut.output <= 8 * 3 * SHAPE[1] < whole.output


def test_neighbours_by_content_are_planned_as_they_are_stored(drawn):
    graphs, people = drawn
    *_, content = plan(people, content_width=4, content_top_k=3)
    n_authors = graphs[0].shape[1]
    features = np.random.default_rng(0).normal(size=(n_authors, 4)).astype(np.float32)
    columns = {"visual": Attributes(features, np.ones(n_authors, dtype=bool))}
    assert content.output == 12 * content_neighbours(ContentVectors.of(columns), 3, 5.0).nnz
    assert content.operations == {"likeness": n_authors**2, "feature": 4 * n_authors**2}
