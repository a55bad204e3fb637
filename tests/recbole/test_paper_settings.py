"""``recbole_configs/paper.yaml``: the paper's model, whatever the dataset's own file says."""

from __future__ import annotations

from pathlib import Path

from mmbee_plugin.recbole.options import given_settings, paper_settings

CONFIGS = Path(__file__).parents[2] / "recbole_configs"


def test_the_paper_s_settings_by_name_are_those_of_its_file() -> None:
    assert paper_settings() == given_settings(str(CONFIGS / "paper.yaml"), [])
    assert paper_settings()["backbone"] == "sim"
