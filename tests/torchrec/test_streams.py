"""No two purposes draw the same numbers, wherever they are."""

import itertools

from mmbee_plugin.randomness.streams import Purpose, key, stream


def test_streams_are_apart_and_repeat():
    arity = {Purpose.WEIGHTS: 0, Purpose.GROUPS: 1, Purpose.NEGATIVES: 3}
    places = [
        (purpose, seed, *place)
        for purpose in Purpose
        for seed in range(3)
        for place in itertools.product(range(3), repeat=arity.get(purpose, 2))
    ]
    assert len({key(*place) for place in places}) == len(places)
    assert len({int(stream(*place).integers(2**62)) for place in places}) == len(places)
    assert key(*places[-1]) == key(*places[-1])
