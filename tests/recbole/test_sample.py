"""What the generated sample is for: with the settings of a run on it, MMBee is missed without MFQ and without GIE."""

from __future__ import annotations

from mmbee_plugin.builtin import sample
from mmbee_plugin.recbole.run import build_config, train_and_test


def test_a_run_shows_what_content_and_interest_are_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = sample.ensure("tiktok", tmp_path / "datasets")

    def trained(**given):
        config = build_config("MMBee", folder, {"gpu_id": "", "epochs": 7, **given})
        return train_and_test(config, folder).test

    whole = trained()
    assert whole["recall@20"] > 0.6
    for part in ("content", "interest"):
        without = trained(**{part: "none"})
        assert whole["recall@20"] > 1.3 * without["recall@20"], part
        assert whole["ndcg@20"] > 1.15 * without["ndcg@20"], part
