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
