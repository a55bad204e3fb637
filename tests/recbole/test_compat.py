"""Checkpoints as plain data: RecBole's own functions work again, and no pickle is trusted."""

import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import recbole
import scipy.sparse
import torch
from recbole.model.general_recommender.bpr import BPR
from recbole.quick_start import run_recbole

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole import compat
from mmbee_plugin.recbole.training import checkpoint

QUICK = {
    "epochs": 2,
    "train_batch_size": 64,
    "metrics": ["Recall"],
    "valid_metric": "Recall@10",
    "gpu_id": "",
    "show_progress": False,
    "state": "ERROR",
    "load_col": {"inter": ["user_id", "item_id"]},
}


class Trap:
    """Unpickling it makes the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def stock_run(tmp_path, monkeypatch, write_folder, random_rows):
    """RecBole's own entry point on its own dataset class; returns the checkpoint of a trained BPR."""
    write_folder(random_rows)
    monkeypatch.chdir(tmp_path)

    def run(model: str = "BPR") -> tuple[dict, Path]:
        result = run_recbole(model=model, dataset="tiny", config_dict={**QUICK, "data_path": "datasets"})
        return result, next(Path("saved").glob(f"{model}-*.pth"))

    return run


def test_stock_training_saves_and_tests(stock_run):
    result, file = stock_run()
    assert 0 <= result["test_result"]["recall@10"] <= 1
    state = torch.load(file, weights_only=True)
    assert state["format"] == checkpoint.FORMAT
    assert state["config"]["__config__"]["settings"]["model"] == "BPR"


def test_stock_training_fails_without_the_substitute(stock_run, monkeypatch):
    monkeypatch.setattr("recbole.trainer.trainer.torch", torch)
    with pytest.raises(pickle.UnpicklingError, match=r"(?i)weights.only"):
        stock_run()


@pytest.mark.parametrize("model", ["ItemKNN", "EASE", "LightGCN", "Pop"])
def test_models_with_parameters_beside_the_weights(stock_run, model):
    result, file = stock_run(model)
    assert result["test_result"]["recall@10"] == result["test_result"]["recall@10"]
    assert checkpoint.load(file)["other_parameter"]


def test_a_module_beside_the_weights_is_left_to_the_state_dict(tmp_path):
    file = tmp_path / "a.pth"
    checkpoint.save({"other_parameter": {"layer": torch.nn.Linear(2, 2), "kept": 1}}, file)
    assert checkpoint.load(file)["other_parameter"] == {"kept": 1}


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asmatrix(np.eye(2)),
        np.array(["a", "bc"]),
        np.empty((0, 3)),
        scipy.sparse.csr_matrix(np.eye(3)),
        scipy.sparse.lil_matrix(np.eye(3, dtype=np.float32)),
        np.random.RandomState(1).get_state(),
    ],
)
def test_arrays_come_back_as_they_were(tmp_path, value):
    file = tmp_path / "a.pth"
    checkpoint.save({"value": value}, file)
    back = checkpoint.load(file)["value"]
    assert type(back) is type(value)
    if scipy.sparse.issparse(value):
        assert back.dtype == value.dtype
        np.testing.assert_array_equal(back.toarray(), value.toarray())
    elif isinstance(value, tuple):
        np.random.RandomState().set_state(back)
        np.testing.assert_array_equal(back[1], value[1])
    else:
        assert back.dtype == value.dtype
        np.testing.assert_array_equal(back, value)


def test_numpy_numbers_become_plain(tmp_path):
    file = tmp_path / "a.pth"
    checkpoint.save({"score": np.float64(0.25), "name": np.str_("x")}, file)
    back = checkpoint.load(file)
    assert type(back["score"]) is float and type(back["name"]) is str


def test_a_value_without_a_plain_form_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"checkpoint\.inner\.odd: .* object"):
        checkpoint.save({"inner": {"odd": object()}}, tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []


def test_config_comes_back_whole(make_config, tmp_path):
    config = make_config("BPR", learning_rate=0.25)
    file = tmp_path / "a.pth"
    checkpoint.save({"config": config}, file)
    back = checkpoint.load(file)["config"]
    assert back.final_config_dict == config.final_config_dict
    assert back.external_config_dict == config.external_config_dict
    assert (back["device"], back["MODEL_TYPE"]) == (config["device"], config["MODEL_TYPE"])
    assert back.model_class is config.model_class
    assert sorted(str(back).splitlines()) == sorted(str(config).splitlines())


def test_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    from recbole.quick_start import load_data_and_model

    monkeypatch.chdir(tmp_path)
    trap = tmp_path / "sprung"
    torch.save({"config": Trap(trap)}, "foreign.pth")
    for read in (checkpoint.load, load_data_and_model):
        with pytest.raises(InputError, match=r"foreign\.pth: holds pickled objects"):
            read("foreign.pth")
    assert not trap.exists()


def test_damaged_and_other_files_are_refused(tmp_path):
    whole, cut, other, missing = (tmp_path / f"{name}.pth" for name in ("whole", "cut", "other", "missing"))
    checkpoint.save({"weights": torch.zeros(1000)}, whole)
    cut.write_bytes(whole.read_bytes()[:700])
    torch.save({"weights": torch.zeros(3)}, other)
    empty = tmp_path / "empty.pth"
    empty.touch()
    for file in (cut, other, missing, empty):
        with pytest.raises(InputError, match=file.name):
            checkpoint.load(file)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "a.pth"
    checkpoint.save({"epoch": 1}, file)

    def out_of_space(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", out_of_space)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        checkpoint.save({"epoch": 2}, file)
    monkeypatch.undo()
    assert checkpoint.load(file)["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_torch_is_as_it_was_while_recbole_trains(stock_run, monkeypatch):
    seen = []
    stock = BPR.calculate_loss

    def calculate_loss(self, interaction):
        seen.append((torch.save, torch.load, np.random.RandomState))
        return stock(self, interaction)

    monkeypatch.setattr(BPR, "calculate_loss", calculate_loss)
    stock_run()
    own = (torch.serialization.save, torch.serialization.load)
    assert set(seen) == {(torch.save, torch.load, np.random.RandomState)}
    assert (torch.save, torch.load) == own and all(each.__module__ == "torch.serialization" for each in own)
    assert np.random.RandomState.__module__ == "numpy.random.mtrand"


def test_a_substitute_is_the_module_but_for_what_is_replaced():
    from recbole.trainer import trainer

    assert trainer.torch is compat.TORCH
    assert trainer.torch.save is not torch.save and trainer.torch.Tensor is torch.Tensor
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trainer.torch.nothing


def test_recbole_saves_what_is_no_checkpoint_as_torch_does(tmp_path):
    file = tmp_path / "a.pth"
    compat.TORCH.save({"path": Path("x")}, file)
    assert torch.load(file, weights_only=False) == {"path": Path("x")}
    with file.open("rb") as opened:
        assert compat.TORCH.load(opened, weights_only=False) == {"path": Path("x")}
    with pytest.raises(InputError, match="holds pickled objects"):
        compat.TORCH.load(file)


def test_every_module_of_recbole_that_reads_checkpoints_has_the_substitute():
    """Another pin of RecBole may read them elsewhere."""
    root = Path(recbole.__file__).parent
    reading = {
        file.relative_to(root.parent).with_suffix("")
        for file in root.rglob("*.py")
        if re.search(r"torch\.(load|save)\(", file.read_text(encoding="utf-8"))
    }
    modules = {".".join(path.parts) for path in reading} - {"recbole.quick_start.quick_start"}
    assert {vars(importlib.import_module(module))["torch"] for module in modules} == {compat.TORCH}


@pytest.mark.parametrize(
    ("lines", "after"),
    [
        (("import mmbee_plugin.recbole",), False),
        (("torch.autograd.set_detect_anomaly(True)", "import mmbee_plugin.recbole"), True),
        (("from recbole.model.sequential_recommender.din import DIN", "import mmbee_plugin.recbole"), False),
    ],
    ids=["off", "on", "imported before"],
)
def test_sequential_models_leave_anomaly_detection_as_it_was(lines, after):
    """In a process of its own, where RecBole's models are imported for the first time."""
    looked_up = ("from recbole.utils import get_model", "get_model('SASRec')")
    lines = ("import torch", *lines, *looked_up, "print(torch.is_anomaly_enabled())")
    command = [sys.executable, "-W", "ignore", "-c", "; ".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(after)]
