import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbee_plugin.graph.best import keep_best


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=40), st.integers(1, 12), st.randoms(use_true_random=False))
def test_order_is_score_then_lower_id(values, room, random):
    ids = list(range(len(values)))
    random.shuffle(ids)
    scores = np.array(values, np.float32)
    best_ids, best_scores = np.full(room, -1, np.int32), np.zeros(room, np.float32)
    kept = keep_best(np.array(ids, np.int32), scores, len(ids), best_ids, best_scores)
    expected = sorted(zip(-scores, ids, strict=True))[:room]
    assert kept == len(expected)
    assert list(best_ids[:kept]) == [node for _, node in expected]
    assert list(best_scores[:kept]) == [-score for score, _ in expected]
