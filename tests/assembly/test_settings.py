"""A setting is declared once: both adapters take, default and refuse it alike, each under its own names."""

from __future__ import annotations

import pytest

from mmbee_plugin.assembly.settings import ModelSettings
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.layers import default_settings
from mmbee_plugin.recbole.config.settings import MMBeeSettings
from mmbee_plugin.recbole.config.values import check_values
from mmbee_plugin.torchrec.settings import parse_settings

REFUSED = [
    ("width", 0, "{width} 0 is out of range, expected a whole number of at least 1"),
    ("width", 8.5, "{width}: found 8.5, expected a whole number of at least 1"),
    ("width", "wide", "{width}: found 'wide', expected a whole number of at least 1"),
    ("width", 30, "{width} 30 is no multiple of heads 4"),
    ("dropout", 1.0, "{dropout} 1.0 is out of range, expected a number of at least 0 and less than 1"),
    ("hidden", 200, "{hidden}: found 200, expected a list of 2 whole numbers of at least 1"),
    ("hidden", [200, 0], "{hidden} 0 is out of range, expected a list of 2 whole numbers of at least 1"),
    ("segments", 33, "{segments} 33 is out of range, expected a whole number from 1 to 32"),
    ("temperature", float("nan"), "{temperature}: found nan, expected a number of at least 1e-06"),
    ("log_q", 1, "{log_q}: found 1, expected true or false"),
    ("modalities", [1], "{modalities}: found 1, expected a list of names, or ~"),
    ("metapaths", ["u2b"], "{metapaths}: metapath 'u2b': expected one to three of the steps"),
    ("metapaths", ["a2a", "a2a"], "{metapaths}: 'a2a' is listed twice"),
    ("backbone", "gru", "unknown {backbone} 'gru'; known: sim, din, dien, sasrec, mmoe, mean"),
    ("backbone", None, "{backbone}: found None, expected one of sim, din, dien, sasrec, mmoe, mean"),
    ("fusion", "firm", "unknown {fusion} 'firm'; known: soft, hard"),
    ("search", "firm", "unknown {search} 'firm'; known: hard, soft, ~"),
    ("query_start", "zeros", "unknown {query_start} 'zeros'; known: random, author, ~"),
]


@pytest.mark.parametrize(("setting", "value", "line"), REFUSED)
def test_both_adapters_refuse_a_value_in_the_same_words(setting, value, line):
    flat = {name: MMBeeSettings.called(name) for name in ModelSettings.model_fields}
    with pytest.raises(InputError) as under_recbole:
        check_values({flat[setting]: value}, "MMBee")
    assert str(under_recbole.value).startswith(line.format(**flat))
    own = {name: f"model.{name}" for name in ModelSettings.model_fields}
    with pytest.raises(InputError) as under_torchrec:
        parse_settings({"data": {"shards": "s"}, "model": {setting: value}}, "job.yaml")
    assert str(under_torchrec.value).startswith("job.yaml: " + line.format(**own))
    assert "\n" not in str(under_torchrec.value)


def test_both_adapters_have_the_declared_defaults():
    declared = ModelSettings().model_dump(mode="json")
    job = parse_settings({"data": {"shards": "s"}}, "job.yaml").model.model_dump(mode="json")
    under_recbole = default_settings("MMBee")
    for name, value in declared.items():
        assert job[name] == value == under_recbole[MMBeeSettings.called(name)], name


def test_a_job_takes_recboles_names():
    model = {"embedding_size": 32, "dropout_prob": 0.1, "mlp_hidden_size": [8, 4], "node_tables": "graphcl"}
    data = {"shards": "s", "MAX_ITEM_LIST_LENGTH": 7}
    settings = parse_settings({"data": data, "model": model}, "job.yaml")
    assert (settings.model.width, settings.model.dropout, settings.model.hidden) == (32, 0.1, (8, 4))
    assert settings.data.history_length == 7
    with pytest.raises(InputError, match=r"model\.embedding_size: another name of width, which is given too"):
        parse_settings({"data": data, "model": {"width": 8, **model}}, "job.yaml")
