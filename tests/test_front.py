"""The package's front door: the parts of the model by name, one version, and no torch before one is used."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

import mmbee_plugin
from mmbee_plugin import modules


def test_every_public_module_is_at_the_door():
    assert mmbee_plugin.__all__ == modules.__all__
    assert all(getattr(mmbee_plugin, name) is getattr(modules, name) for name in mmbee_plugin.__all__)
    assert set(mmbee_plugin.__all__) < set(dir(mmbee_plugin))


def test_the_package_loads_nothing_before_a_part_is_used():
    code = "import sys, mmbee_plugin; from mmbee_plugin import files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="has no attribute 'MQF'"):
        getattr(mmbee_plugin, "MQF")  # noqa: B009


def test_one_version():
    assert metadata.version("mmbee-plugin") == mmbee_plugin.__version__
