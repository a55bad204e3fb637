"""Serving stands on its own: neither RecBole nor TorchRec is imported by it, nor anything that only training needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mmbee_plugin.serving

FORBIDDEN = (
    "recbole",
    "torchrec",
    "fbgemm_gpu",
    "ray",
    "pandas",
    "polars",
    "mmbee_plugin.recbole",
    "mmbee_plugin.torchrec",
)


ONLY_TRAINING = (
    "recbole",
    "torchrec",
    "fbgemm_gpu",
    "ray",
    "polars",
    "yaml",
    "plotly",
    "sklearn",
    "torch_geometric",
    "pyarrow",
)
"""not installed with the serve extra"""


def test_the_commands_of_serving_start_without_what_only_training_needs(tmp_path):
    """As after ``pip install mmbee-plugin[serve]``, which has none of these."""
    code = f"""
import sys
for name in {ONLY_TRAINING!r}:
    sys.modules[name] = None
from mmbee_plugin.cli import main
sys.argv = ["mmbee", *sys.argv[1:]]
main()
"""
    for command, line in (
        (["bundle", "list", str(tmp_path)], "* is served"),
        (["serve", str(tmp_path / "nowhere")], "no such folder of bundles"),
        (
            ["serve", str(tmp_path), f"--segments={tmp_path}"],
            "--segments needs polars, which is not installed",
        ),
    ):
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
        assert line in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_no_module_of_serving_imports_an_adapter():
    root = Path(mmbee_plugin.serving.__file__).parent
    files = (path.relative_to(root).with_suffix("") for path in root.rglob("*.py"))
    names = [".".join(("mmbee_plugin", "serving", *path.parts)).removesuffix(".__init__") for path in files]
    assert len(names) > 15
    code = f"""
import importlib, sys
for name in {sorted(names)!r}:
    importlib.import_module(name)
found = [name for name in {FORBIDDEN!r} if name in sys.modules]
print(found)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
