"""Registration: names resolve, nothing stock changes, mistakes are explained."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import recbole
import yaml
from pydantic import Field
from recbole.config import Config
from recbole.utils import dataset_arguments, get_model

import mmbee_plugin
from mmbee_plugin.builtin import sample
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole import plugin
from mmbee_plugin.recbole.config.declared import FlatSettings
from mmbee_plugin.recbole.config.known import DATA_SETTINGS, known_settings, recbole_names
from mmbee_plugin.recbole.config.layers import (
    COMPONENTS,
    PROPERTIES,
    REGISTERED,
    check_model,
    default_layers,
    default_settings,
    known_models,
)
from mmbee_plugin.recbole.run import build_config

ROOT = Path(mmbee_plugin.__file__).parents[1]


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_resolves(name):
    from recbole import trainer
    from recbole.data import dataset

    from mmbee_plugin.recbole.data.dataset import MMBeeDataset
    from mmbee_plugin.recbole.training.trainer import MMBeeTrainer

    found = get_model(name)
    assert found.__name__ == name
    assert found.__module__ == COMPONENTS[name]
    assert getattr(dataset, f"{name}Dataset") is MMBeeDataset
    assert issubclass(getattr(trainer, f"{name}Trainer"), plugin.TRAINERS.get(name, MMBeeTrainer))
    assert "declared" in vars(found) or (PROPERTIES / f"{name}.yaml").is_file()


def test_components_hide_no_model_of_recbole():
    stock = {file.stem for file in Path(recbole.__file__).parent.glob("model/*/*.py")}
    assert not stock & {name.lower() for name in COMPONENTS}


def test_registering_again_changes_nothing():
    from recbole.trainer import hyper_tuning, trainer

    utils = importlib.import_module("recbole.data.utils")

    def state():
        wraps = (
            Config._load_internal_config_dict,
            utils.get_dataloader,
            utils.create_samplers,
            trainer.torch,
            hyper_tuning.np,
        )
        return wraps, list(dataset_arguments)

    before = state()
    plugin.register()
    assert state() == before


def test_data_settings_are_among_those_that_invalidate_a_cache():
    assert set(DATA_SETTINGS) <= set(dataset_arguments)


def test_another_version_of_recbole_is_refused(monkeypatch):
    monkeypatch.setattr(recbole, "__version__", "1.1.1")
    with pytest.raises(InputError, match=r"recbole 1\.1\.1 is installed.*1\.2\.1"):
        plugin.register()


def test_stock_models_keep_their_defaults(make_config):
    config = make_config("BPR")
    assert config["mmbee_dataset"] is None
    assert config["embedding_size"] == 64
    utils = importlib.import_module("recbole.data.utils")
    for phase in ("train", "valid"):
        assert utils.get_dataloader(config, phase) is utils.get_dataloader.__wrapped__(config, phase)


@pytest.mark.parametrize("name", ["NoSuchModel", "bpr", "MMbee"])
def test_an_unknown_model_is_answered_with_the_known_ones(name):
    with pytest.raises(InputError, match=rf"'{name}' is not known.*MMBee, SIM.*BPR.*LightGCN"):
        Config(model=name, dataset="tiny")


def test_the_nearest_model_is_suggested():
    with pytest.raises(InputError, match="did you mean LightGCN"):
        check_model("lightgnc")


def test_a_known_model_whose_library_is_missing_says_so():
    if importlib.util.find_spec("lightgbm"):
        pytest.skip("lightgbm is installed")
    with pytest.raises(ModuleNotFoundError, match="lightgbm"):
        Config(model="lightgbm", dataset="tiny")


def test_every_name_listed_as_known_is_a_model():
    for name in known_models():
        if name not in {"lightgbm", "xgboost"}:
            try:
                assert get_model(name).__name__ == name
            except ModuleNotFoundError as error:  # a model with a library of its own, such as NCL's faiss
                assert "recbole" not in str(error.name)


def test_importing_the_plugin_late_and_lazily(tmp_path):
    """In a fresh process, with quick_start imported first: names resolve, and no model is imported before
    its use."""
    code = (
        "import sys, recbole.quick_start\n"
        "import mmbee_plugin.recbole\n"
        "from importlib.util import find_spec\n"
        "assert find_spec('recbole.model.general_recommender.mmbee')\n"
        "assert 'mmbee_plugin.recbole.models.mmbee' not in sys.modules\n"
        "from recbole.quick_start.quick_start import Config, get_model\n"
        "assert get_model('SIM').__name__ == 'SIM'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def registered(monkeypatch):
    """Registers a model for one test: what it left in RecBole's modules goes away again."""
    from recbole import trainer
    from recbole.data import dataset

    def register(model, defaults=None):
        monkeypatch.setitem(REGISTERED, model.__name__, (model, {}))
        for place, name in ((dataset, "Dataset"), (trainer, "Trainer")):
            monkeypatch.setattr(place, model.__name__ + name, None, raising=False)
        monkeypatch.setitem(sys.modules, plugin._alias_path(model.__name__), None)
        monkeypatch.delitem(sys.modules, plugin._alias_path(model.__name__))
        for place, name in ((dataset, "Dataset"), (trainer, "Trainer")):
            delattr(place, model.__name__ + name)
        plugin.register_model(model, defaults)
        return model

    return register


def test_a_registered_model_resolves_by_name_and_inherits_defaults(registered, make_config, tmp_path):
    from recbole.model.sequential_recommender.din import DIN
    from recbole.trainer import Trainer
    from recbole.utils import get_trainer

    from mmbee_plugin.recbole.training.trainer import Resumable

    own = tmp_path / "own.yaml"
    own.write_text("shared: 2\nsecond: 2\nnested: {b: 3}")
    first = registered(
        type("FirstDIN", (DIN,), {}), {"embedding_size": 6, "shared": 1, "nested": {"a": [1], "b": 0}}
    )
    second = registered(type("SecondDIN", (first,), {}), own)
    assert get_model("SecondDIN") is second
    trainer = get_trainer(second.type, "SecondDIN")
    assert issubclass(trainer, Resumable) and issubclass(trainer, Trainer)
    config, stock = make_config("SecondDIN"), make_config("DIN")
    assert config.model_class is second
    expected = {"embedding_size": 6, "shared": 2, "second": 2, "nested": {"a": [1], "b": 3}}
    ignored = {*expected, "model", "metrics", "checkpoint_dir"}
    for key in stock.final_config_dict.keys() - ignored:
        assert config[key] == stock[key], key  # also what RecBole keeps for models named DIN
    assert {key: config[key] for key in expected} == expected
    config["nested"]["a"].append(2)
    assert make_config("SecondDIN")["nested"] == {"a": [1], "b": 3}
    assert make_config("SecondDIN", nested={"b": 4})["nested"] == {"a": [1], "b": 4}
    assert default_settings("SecondDIN").items() >= expected.items()
    assert {"second", "mlp_hidden_size", "pooling_mode"} <= known_settings("SecondDIN")
    assert "second" not in known_settings("FirstDIN")
    assert known_models()[-1] != "SecondDIN" and "SecondDIN" in known_models()


def test_a_registered_model_keeps_its_base_classes_trainer(registered):
    from recbole.model.sequential_recommender.s3rec import S3Rec
    from recbole.trainer import S3RecTrainer
    from recbole.utils import get_trainer

    model = registered(type("MyS3Rec", (S3Rec,), {}))
    assert issubclass(get_trainer(model.type, "MyS3Rec"), S3RecTrainer)


def test_sim_has_the_settings_of_mmbee_but_for_those_it_names(make_config):
    mmbee, sim = (make_config(name).final_config_dict for name in ("MMBee", "SIM"))
    named = yaml.safe_load((PROPERTIES / "SIM.yaml").read_text())
    differ = {key for key in mmbee if mmbee[key] != sim[key]}
    assert differ == {"model", *named} and mmbee.keys() == sim.keys()
    assert sim["content"] == sim["interest"] == "none"


def test_registering_again_replaces(registered):
    from mmbee_plugin.recbole.models.mmbee import MMBee

    registered(type("Variant", (MMBee,), {}), {"heads": 1})
    second = type("Variant", (MMBee,), {})
    plugin.register_model(second, {"heads": 2})
    assert get_model("Variant") is second
    assert default_layers("Variant")[-1] == {"heads": 2}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("MMBee", {"backbone": "gru"}, "unknown backbone"),
        ("GRCN", {"modalities": ["smell"]}, "unknown modality"),
        ("GRCN", {"n_routings": -1}, "n_routings -1 is out of range, expected a whole number of at least 0"),
    ],
)
def test_a_registered_model_refuses_what_its_base_refuses(
    registered, tmp_path, monkeypatch, name, settings, message
):
    monkeypatch.chdir(tmp_path)
    folder = sample.ensure("tiktok", tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    registered(type("Variant", (get_model(name),), {}))
    build_config("Variant", folder, {"gpu_id": ""})
    with pytest.raises(InputError, match=message):
        build_config("Variant", folder, {"gpu_id": "", **settings})


def test_a_registered_model_may_declare_its_settings(registered, tmp_path, monkeypatch):
    class Tower(FlatSettings):
        """A tower."""

        floors: int = Field(default=3, ge=1)
        """how many"""

    monkeypatch.chdir(tmp_path)
    folder = sample.ensure("tiktok", tmp_path)
    registered(type("Towered", (get_model("BPR"),), {}), Tower)
    assert build_config("Towered", folder, {"gpu_id": ""})["floors"] == 3
    with pytest.raises(InputError, match="floors 0 is out of range, expected a whole number of at least 1"):
        build_config("Towered", folder, {"gpu_id": "", "floors": 0})


@pytest.mark.parametrize(
    ("name", "base", "defaults", "message"),
    [
        ("BPR", "MMBee", None, "the name BPR is taken"),
        ("Din", "MMBee", None, "the name DIN is taken"),
        ("mmbee", "MMBee", None, "the name MMBee is taken"),
        ("Fine", None, None, "no subclass of a RecBole model"),
        ("Fine", "MMBee", Path("nowhere.yaml"), "nowhere.yaml: no such file"),
    ],
)
def test_models_that_cannot_be_registered(name, base, defaults, message):
    model = type(name, (get_model(base),) if base else (), {})
    with pytest.raises(InputError, match=message):
        plugin.register_model(model, defaults)
    assert name not in REGISTERED


def test_the_names_of_settings_are_those_of_the_installed_recbole():
    """What a new pin adds or drops is named by the difference; `mmbee_plugin.recbole.config.known` reads the file."""
    from recbole.utils import argument_list

    asked = re.compile(r"""config\[\s*["'](\w+)["']""")
    sources = (file.read_text(encoding="utf-8") for file in Path(recbole.__file__).parent.rglob("*.py"))
    names = {name for source in sources for name in asked.findall(source)}
    kinds = ("general", "training", "evaluation", "dataset")
    names |= {name for kind in kinds for name in vars(argument_list)[f"{kind}_arguments"]}
    assert recbole_names() == names - {*DATA_SETTINGS}
