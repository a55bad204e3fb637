"""Swing and lists along metapaths of up to three hops, written as SQL and computed by DuckDB, at 1,000 users x 300."""

import duckdb
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.donations import donation_graph, weigh
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath
from mmbee_plugin.graph.swing import swing

USERS, AUTHORS, TOP_K, RTOL = 1_000, 300, 20, 1e-6

SWING = """
create or replace table swing as
with degree as (select u, count(*) as d from edges group by u),
     common as (select x.u, y.u as v, x.a from edges x join edges y using (a)),
     pair as (select u, v, (x.d + $beta) ** -$gamma * (y.d + $beta) ** -$gamma / ($alpha + count(*)) as weight
              from common join degree x using (u) join degree y on y.u = v
              where $self or u <> v group by u, v, x.d, y.d)
select i.a as f, j.a as t, sum(weight) as w
from pair join common i using (u, v) join common j using (u, v)
where i.a <> j.a group by i.a, j.a
"""
STEPS = {
    "u2a": "select u as f, a as t, w from edges",
    "a2u": "select a as f, u as t, w from edges",
    "a2a": "select f, t, w from papers_swing",
}
NORMALISED = {
    "row": "w / sum(w) over (partition by f)",
    "symmetric": "w / sqrt(sum(w) over (partition by f) * sum(w) over (partition by t))",
}


@pytest.fixture(scope="module")
def u2a() -> csr_matrix:
    random = np.random.default_rng(5)
    users = random.permutation(USERS)[(USERS * random.random(4_000) ** 2).astype(int)]
    authors = random.permutation(AUTHORS)[(AUTHORS * random.random(4_000) ** 2).astype(int)]
    return weigh(donation_graph(users, authors, random.integers(1, 500, 4_000), USERS, AUTHORS), "log1p")


@pytest.fixture(scope="module")
def sql(u2a):
    database = duckdb.connect()
    edges = u2a.tocoo()
    u, a, w = edges.row, edges.col, edges.data.astype(np.float64)
    database.execute(
        "create table edges as select * from (select unnest($u) as u, unnest($a) as a, unnest($w) as w)",
        {"u": u.tolist(), "a": a.tolist(), "w": w.tolist()},
    )
    swing_in_sql(database)
    database.execute("create table papers_swing as from swing")
    return database


def swing_in_sql(sql, alpha=1.0, include_self=True, beta=0.0, gamma=0.0) -> csr_matrix:
    sql.execute(SWING, {"alpha": alpha, "self": include_self, "beta": beta, "gamma": gamma})
    return matrix(sql.execute("select f, t, w from swing").fetchnumpy(), (AUTHORS, AUTHORS))


def walks_in_sql(sql, path: Metapath, normalisation: str) -> csr_matrix:
    """Scores of all pairs of nodes along a metapath, own pairs left out."""
    steps = [
        f"(select f, t, {NORMALISED[normalisation]} as w from ({STEPS[step]})) s{hop}"
        for hop, step in enumerate(path.steps)
    ]
    joined = steps[0] + "".join(
        f" join {step} on s{hop}.t = s{hop + 1}.f" for hop, step in enumerate(steps[1:])
    )
    ends, product = f"s0.f as f, s{path.hops - 1}.t as t", "*".join(f"s{hop}.w" for hop in range(path.hops))
    own = "true"
    if path.start == path.end:
        own = "f <> t"
    elif path.hops > 1:
        user, author = ("f", "t") if path.start == "u" else ("t", "f")
        own = f"not exists (select 1 from edges where u = {user} and a = {author})"
    query = f"select * from (select {ends}, sum({product}) as w from {joined} group by 1, 2) where {own}"
    counts = {"u": USERS, "a": AUTHORS}
    return matrix(sql.execute(query).fetchnumpy(), (counts[path.start], counts[path.end]))


def matrix(columns, shape) -> csr_matrix:
    return csr_matrix((columns["w"], (columns["f"], columns["t"])), shape=shape)


@pytest.mark.parametrize(
    "options",
    [{}, {"include_self": False}, {"alpha": 2.5, "beta": 5.0, "gamma": 0.35}],
    ids=["paper", "without self", "weighted"],
)
def test_swing_is_that_of_sql(u2a, sql, options):
    expected = swing_in_sql(sql, **options)
    renamed = {"beta": "user_beta", "gamma": "user_gamma"}
    found = swing(u2a, **{renamed.get(name, name): value for name, value in options.items()})
    assert found.nnz == expected.nnz > 5_000
    assert (found != 0).nnz == (found != 0).multiply(expected != 0).nnz
    np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=RTOL)


@pytest.mark.parametrize("normalisation", ["row", "symmetric"])
@pytest.mark.parametrize("name", [*PAPER_METAPATHS, "a2a2u", "u2a2a2u"])
def test_lists_are_those_of_sql(u2a, sql, name, normalisation):
    path = Metapath.parse(name)
    scores = walks_in_sql(sql, path, normalisation)
    lists = expand(path, u2a, swing(u2a), top_k=TOP_K, normalisation=normalisation)
    assert len(lists.ids)
    for node in range(lists.n_nodes):
        ids, weights = lists.of(node)
        row = scores[node].toarray().ravel()
        best = np.sort(row[row > 0])[::-1][:TOP_K]
        np.testing.assert_allclose(weights, best, rtol=RTOL)  # as many, and as good
        np.testing.assert_allclose(row[ids], weights, rtol=RTOL)  # each its own: only ties may be others
        assert len(set(ids.tolist())) == len(ids)
