"""Every declared need: a setting given where nothing reads it is found, and not where something reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from idle_cases import OF_GRAPH, OF_MODELS, REACH_OFF

from mmbee_plugin.command.yaml_settings import replace_entry
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole import tune
from mmbee_plugin.recbole.config.baselines import BASELINES, EgoGCNSettings, MMSSLSettings
from mmbee_plugin.recbole.config.idle import check_read, idle_settings
from mmbee_plugin.recbole.config.settings import MMBeeSettings
from mmbee_plugin.recbole.run import build_config, main
from mmbee_plugin.settings.needs import Setting, idle
from mmbee_plugin.settings.section import Section
from mmbee_plugin.settings.words import entries, in_yaml, section_of
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.shards.settings import ShardSettings


def of_jobs(case: tuple[str, str, str]) -> tuple[str, str, str]:
    """A case of a model as one of a job, whose model is a section."""
    off, why, on = case
    others = (" ".join(f"model.{word}" for word in words.split()) for words in (off, on))
    return next(others), " and ".join(f"model.{each}" for each in why.split(" and ")), next(others)


CASES: dict[type[Section], dict[str, tuple[str, str, str]]] = {
    MMBeeSettings: {
        **OF_MODELS,
        **{f"graph.{name}": case for name, case in OF_GRAPH.items()},
        "category_field=genre": ("backbone=sim search=soft", "search is soft", "backbone=sim"),
        "reach_floor=3.0": (REACH_OFF, "graph.reach_top_k is 0", "graph.reach_top_k=9"),
        "reach_weight=3.0": ("interest=bdr graph.reach_top_k=9", "interest is bdr", "graph.reach_top_k=9"),
        "graph.top_k=9": ("interest=none", "interest is none", "interest=bdr"),
        "graph.reach_top_k=9": ("interest=bdr", "interest is bdr", ""),
        "graph.statistics=[degree]": ("attributes=false", "attributes is false", ""),
        "graphcl.epochs=3": ("node_tables=fresh", "node_tables is fresh", "interest=bdr"),
    },
    EgoGCNSettings: {"threshold_gate=0.3": ("gate=soft", "gate is soft", "")},
    MMSSLSettings: {"temperature=2.0": ("contrast_weight=0.0", "contrast_weight is 0.0", "")},
    Settings: {
        **{f"model.{name}": of_jobs(case) for name, case in OF_MODELS.items()},
        "model.reach=true": ("model.interest=bdr", "model.interest is bdr", ""),
        "model.reach_floor=3.0": ("model.reach=false", "model.reach is false", ""),
        "model.reach_weight=3.0": ("model.interest=none", "model.interest is none", ""),
        "tables.user.learning_rate=0.3": ("model.user_ids=false", "model.user_ids is false", ""),
        "tables.query.sharding=row_wise": ("model.content=none", "model.content is none", ""),
        "train.patience=3": ("train.eval_every=0", "train.eval_every is 0", ""),
    },
    ShardSettings: {
        **{f"graph.{name}": case for name, case in OF_GRAPH.items()},
        "graphcl.epochs=3": ("node_tables=fresh", "node_tables is fresh", ""),
    },
}
"""class of all settings -> a setting -> others beside it, as in :mod:`idle_cases`"""
EACH = [
    pytest.param(kind, name, id=f"{kind.__name__} {name}") for kind, cases in CASES.items() for name in cases
]


def values(words: str) -> dict[str, Any]:
    """The settings of `name=value` words, nested."""
    found: dict[str, Any] = {}
    for word in words.split():
        replace_entry(found, word)
    return found


def effective(kind: type[Section], words: str) -> Section:
    return kind.of(values(f"data.shards=x {words}" if kind is Settings else words))


@pytest.mark.parametrize(("kind", "setting"), EACH)
def test_a_setting_is_idle_where_nothing_reads_it_and_only_there(kind, setting):
    off, why, on = CASES[kind][setting]
    ((name, value),) = entries(values(setting))
    line = f"{name} {in_yaml(value)}: nothing reads it, since {why}"
    assert idle(effective(kind, f"{setting} {off}"), values(setting)) == {name: line}
    assert idle(effective(kind, f"{setting} {on}"), values(setting)) == {}


def marked(kind: type[Section], outer: Setting | None = None) -> Iterator[Setting]:
    """Every setting of a class that needs another one of it."""
    for name, field in kind.model_fields.items():
        one = Setting(kind, name, outer)
        if any(one.near(other) for need in one.needs for other in need.settings):
            yield one
        if (inner := section_of(field)) is not None:
            yield from marked(inner, one)


@pytest.mark.parametrize("kind", [*CASES, *(kind for kind in BASELINES if kind not in CASES)])
def test_every_declared_need_has_a_case(kind):
    tried = [name.partition("=")[0].split(".") for name in CASES.get(kind, {})]
    chains = [Setting.found(kind, names[:end]) for names in tried for end in range(1, len(names) + 1)]
    assert {one.called for one in marked(kind)} <= {one.called for one in chains if one is not None}


TINY = ["--dataset=tiny", "--gpu_id=", "--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: TO}"]
MMBEE = ["--model=MMBee", *TINY, "--content=none", "--print_config"]


@pytest.fixture
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    """A dataset's folder in the working directory, with a file of settings of its own."""
    monkeypatch.chdir(tmp_path)
    Path("recbole_configs").mkdir()
    Path("recbole_configs/tiny.yaml").write_text(
        "models: {MMBee: {num_queries: 3, graph: {content_share: 0.3}}}"
    )
    return write_folder(random_rows)


def error_of(capsys, *arguments: str, command=main) -> str:
    assert command(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--graph.visits=0.5", "--graph.reach_top_k=0"], "graph.visits 0.5: {}graph.reach_top_k is 0"),
        (["--interest=none", "--graph={top_k: 20}"], "graph.top_k 20: {}interest is none"),
        (["--node-tables=fresh", "--graphcl.epochs=3"], "graphcl.epochs 3: {}node_tables is fresh"),
        (["--num_queries=4"], "num_queries 4: {}content is none"),
        (["--loss=bce", "--temperature=2"], "temperature 2: {}loss is bce"),
        (["--graph.content_share=0.2"], "graph.content_share 0.2: {}graph.content_top_k is 0"),
        (["--graph.folds=0", "--graph.fold_by=time"], "graph.fold_by time: {}graph.folds is 0"),
        (["--graph.refresh_limit=3"], "graph.refresh_limit 3: {}graph.refresh_from is ~"),
        (["--interest=bdr", "--metapaths=a2a"], "metapaths [a2a]: {}interest is bdr"),
        (["--mlp_hidden_size=[8,4]"], "mlp_hidden_size [8, 4]: {}head is dot and backbone is mean"),
        (["--backbone=din", "--searched=5"], "searched 5: {}backbone is din"),
    ],
)
def test_a_run_refuses_what_nothing_reads(folder, capsys, arguments, line):
    assert error_of(capsys, *MMBEE, *arguments) == line.format("nothing reads it, since ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--graph.visits=0.5"],
        ["--interest=bdr", "--graph.top_k=20", "--graphcl.epochs=3", "--node_tables=graphcl"],
        ["--temperature=2"],
        ["--graph.content_share=0.2", "--graph.content_top_k=3"],
        ["--head=mlp", "--mlp_hidden_size=[8,4]"],
        # what asks for nothing
        ["--interest=none", "--graph.reach_top_k=0", "--use_queries=false", "--modality_dropout=0", "--query_start=~"],
    ],
)  # fmt: skip
def test_a_run_takes_what_is_read(folder, arguments):
    assert main([*MMBEE, *arguments]) == 0


def test_files_may_have_settings_of_parts_that_are_off(folder, capsys):
    Path("more.yaml").write_text("graph: {top_k: 7}\nmodels: {MMBee: {heads: 2}}\n")
    assert main([*MMBEE, "--interest=none", "--config_files=more.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "num_queries: 3  # recbole_configs/tiny.yaml" in printed and "top_k: 7  # more.yaml" in printed


def test_of_variants_one_that_reads_it_is_enough(folder, capsys):
    def compare(*arguments: str) -> list[str]:
        return [*arguments, *TINY, "--print_config"]

    two = "--compare=MMBee content=none interest=none,MMBee content=none"
    assert main(compare(two, "--graph.top_k=20")) == 0
    assert main(compare("--compare=SIM,MMBee content=none", "--searched=4")) == 0
    assert main(compare("--compare=LightGCN,SIM", "--reg_weight=0.1")) == 0
    capsys.readouterr()
    sims = "--compare=SIM,SIM loss=bpr"
    assert (
        error_of(capsys, *compare(sims, "--graph.top_k=20"))
        == "graph.top_k 20: nothing reads it, since interest is none"
    )
    own = "--compare=MMBee content=none,MMBee content=none interest=none graph.top_k=20"
    assert error_of(capsys, *compare(own)) == "graph.top_k 20: nothing reads it, since interest is none"
    other = "--compare=BPR,SIM"  # no setting of BPR's
    assert "num_queries 4: nothing reads it" in error_of(capsys, *compare(other, "--num_queries=4"))


def test_a_search_may_turn_on_what_reads_it(folder, capsys):
    Path("my.hyper").write_text("learning_rate choice [0.01,0.001]\n")
    arguments = [
        "--model=MMBee",
        *TINY,
        "--content=none",
        "--graph.content_share=0.3",
        "--params_file=my.hyper",
    ]
    found = error_of(capsys, *arguments, command=tune.main)
    assert found == "graph.content_share 0.3: nothing reads it, since graph.content_top_k is 0"
    Path("my.hyper").write_text("graph.content_top_k choice [2,3]\n")
    config = build_config("MMBee", DatasetFolder(folder), {"content": "none"})
    given = {"graph": {"content_share": 0.3}}
    check_read([config], given, varied=tune.searched_settings(Path("my.hyper"), "MMBee"))
    with pytest.raises(InputError, match="content_share"):
        check_read([config], given)


def test_a_model_of_another_package_may_read_any(folder, monkeypatch):
    config = build_config("MMBee", DatasetFolder(folder), {"content": "none"})
    assert idle_settings(config, {"num_queries": 4})
    monkeypatch.setattr(
        "mmbee_plugin.recbole.config.idle.COMPONENTS", {}
    )  # delitem would end it out of order
    assert idle_settings(config, {"num_queries": 4}) == {}
