"""A library that is not installed: every command that needs it says so in one line, with a command that works."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mmbee_plugin.command import extras

ROOT = Path(__file__).parents[2]
BLOCKED = """
import runpy, sys
sys.modules[sys.argv[1]] = None
sys.argv = sys.argv[2:]
if sys.argv[0].endswith(".py"):
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
MMBEE, TRAIN = "mmbee_plugin.cli", ["mmbee_plugin.torchrec.train", "--config", "job.yaml"]
RUN, HYPER = str(ROOT / "run_recbole.py"), str(ROOT / "run_hyper.py")
COMMANDS = {
    "polars": [MMBEE, "data", "simulate", "log"],
    "plotly": [MMBEE, "diagnose", "a.pth"],
    "recbole": [RUN, "--model=BPR", "--dataset=toy"],
    "hyperopt": [HYPER, "--model=BPR", "--dataset=toy"],
    "torch_geometric": [RUN, "--model=MMGCN", "--dataset=toy"],
    "yaml": [HYPER, "--model=BPR", "--dataset=toy"],
    "torchrec": [MMBEE, "export", "folder", "a.pt"],
    "fbgemm_gpu": TRAIN,
    "pyarrow": [MMBEE, "data", "shards", "toy", "shards"],
    "tensorboard": TRAIN,
}


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_without_it_is_one_line(module, tmp_path):
    folder = tmp_path / "datasets" / "toy"
    folder.mkdir(parents=True)
    rows = [f"u{row % 5}\ti{row}" for row in range(10)]
    (folder / "toy.inter").write_text("\n".join(["user_id:token\titem_id:token", *rows]) + "\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "job.yaml").write_text("data: {shards: shards}\ncheckpoint: {folder: saved}\n")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, module, *COMMANDS[module]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    package = extras.PACKAGES.get(module, module)
    assert done.returncode == 2, done.stderr
    error = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and error.startswith("error: "), done.stderr
    assert f"needs {package}, which is not installed: pip install -e {ROOT}[" in error.replace("'", "")
    assert f"or pip install {package}" in error.replace("'", "")


def test_the_settings_of_all_models_are_listed_without_their_library():
    asked = [sys.executable, "-c", BLOCKED, "torch_geometric", RUN, "--help"]
    done = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT)
    assert "MMGCN, with the defaults of" in done.stdout


def test_the_modules_need_none_of_them():
    code = "import sys; sys.modules.update(dict.fromkeys(sys.argv[1:])); import mmbee_plugin.modules"
    subprocess.run(
        [sys.executable, "-c", code, *COMMANDS], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def test_bounds_are_those_of_the_package():
    bound = next(line for line in metadata.requires(extras.PROJECT) or [] if line.startswith("polars"))
    error = str(extras.missing("polars"))
    assert bound.partition(";")[0].removeprefix("polars").strip() in error and "[logs]" in error


def test_without_a_checkout_the_package_alone_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "site-packages" / "mmbee_plugin" / "extras.py"))
    assert str(extras.missing("polars", "a log")).endswith("installed: pip install 'polars<3,>=2.1'")


def test_a_library_that_no_extra_brings():
    assert str(extras.missing("lightgbm", "LightGBM")).endswith("not installed: pip install lightgbm")
