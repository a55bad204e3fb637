from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.mfq import AUTHOR_NOISE, OWN_GAIN, QUERY_STD
from mmbee_plugin.torchrec.settings import ModelSettings
from mmbee_plugin.torchrec.sharded.initial import BLOCK, InitialRows

ROWS = BLOCK + 50
USERS = BLOCK + 20


def initial(nodes=None, start="random", shared=True):
    inputs = SimpleNamespace(
        model=ModelSettings(width=8, init_std=0.5, node_std=0.2, shared_queries=shared),
        num_queries=2,
        query_start=start,
        n_users=USERS,
        n_authors=ROWS,
    )
    return InitialRows(inputs, seed=3, nodes=nodes)


def table(rows, name, width, start=0, stop=ROWS):
    return torch.cat([values for _, values in rows.rows(name, start, stop, width)])


@pytest.mark.parametrize("name", ["user", "query", "nodes_user", "words_text"])
def test_any_part_of_a_table_is_that_part(name):
    rows = initial()
    whole = table(rows, name, 16)
    assert whole.shape == (ROWS, 16)
    for start, stop in ((0, 5), (7, BLOCK + 3), (BLOCK, ROWS)):
        torch.testing.assert_close(table(rows, name, 16, start, stop), whole[start:stop], rtol=0, atol=0)
    assert bool((whole[0] == 0).all()) == (name != "words_text")
    # Behind the users stand rows for the unseen.
    assert (whole[1 : USERS + 1] != 0).all() and bool((whole[USERS + 1 :] == 0).all()) == (name == "user")


def test_tables_start_at_their_spread():
    rows = initial()
    author, query = table(rows, "author", 8), table(rows, "query", 16)
    assert author[1:].std() == pytest.approx(0.5, rel=0.02)
    assert query[1:].std() == pytest.approx(QUERY_STD, rel=0.02)
    assert table(initial(shared=False), "query", 16)[1:].std() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("shared", [True, False])
def test_queries_start_from_the_author_s_own_id_vector(shared):
    rows = initial(start="author", shared=shared)
    author, query = table(rows, "author", 8)[1:], table(rows, "query", 16)[1:].unflatten(1, (2, 8))
    noise = query * (OWN_GAIN if shared else 1) - author[:, None]
    spread = author.square().mean(dim=1).sqrt()
    assert (noise.square().mean(dim=(1, 2)).sqrt() / spread).mean() == pytest.approx(AUTHOR_NOISE, rel=0.1)
    assert not torch.equal(query[:, 0], query[:, 1])
    part = table(rows, "query", 16, BLOCK + 3, BLOCK + 9)  # of the second block of rows
    assert torch.equal(part.unflatten(1, (2, 8)), query[BLOCK + 2 : BLOCK + 8])


def test_stored_node_vectors_are_scaled_and_shifted_by_one():
    rng = np.random.default_rng(0)
    vectors = tuple(rng.normal(1, 3, (ROWS - 1, 8)).astype(np.float32) for _ in range(2))
    rows = initial(vectors)
    found = table(rows, "nodes_author", 8)
    torch.testing.assert_close(
        found[1:], torch.from_numpy(vectors[1]) * (0.2 / torch.from_numpy(vectors[1]).std())
    )
    assert (found[0] == 0).all()
    with pytest.raises(InputError, match="width 4, the model 8"):
        initial(tuple(part[:, :4] for part in vectors))
