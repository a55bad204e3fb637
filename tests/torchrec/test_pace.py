import pytest

from mmbee_plugin.torchrec.training import pace
from mmbee_plugin.torchrec.training.pace import Pace


def test_pauses_are_not_training(monkeypatch):
    clock = iter([0.0, 10.0, 12.0, 42.0, 44.0, 48.0])
    monkeypatch.setattr(pace.time, "perf_counter", lambda: next(clock))
    measured = Pace()  # at 0
    assert measured.mean is None
    measured.add(5)
    measured.start()  # at 10: what came before was no training
    measured.add(30)
    with measured.paused():  # from 12 to 42, as for a checkpoint
        measured.add(10)
    assert measured.read() == pytest.approx(10)  # at 44: 40 samples in 4 s
    measured.add(4)
    assert measured.read() == pytest.approx(1)  # at 48
    assert measured.mean == pytest.approx(44 / 8)
