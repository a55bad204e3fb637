import numpy as np
import pytest

from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.settings import Interactions, NodeStage


@pytest.fixture
def interactions():
    """150 gifts of 30 users to 20 authors, in the order of time."""
    random = np.random.default_rng(0)
    users = random.integers(0, 30, 150)
    later = np.array([np.count_nonzero(users[row + 1 :] == user) for row, user in enumerate(users)])
    times = 1_700_000_000 + 600.0 * np.arange(150)
    return Interactions(users, random.integers(0, 20, 150), random.integers(1, 9, 150), 30, 20, later, times)


@pytest.fixture
def features():
    random = np.random.default_rng(1)
    return {"visual": Attributes(random.normal(size=(20, 6)).astype(np.float32), random.random(20) < 0.7)}


@pytest.fixture
def node_stage():
    """A function that gives node stages of one width, whose tables are constant."""

    def of_width(width):
        tables = np.ones((30, width)), np.full((20, width), 2.0)
        return NodeStage({"width": width}, lambda u2a, users, authors: tables)

    return of_width
