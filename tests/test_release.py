"""What an installation holds: the settings and examples of the checkout, found wherever a command runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmbee_plugin

ROOT = Path(__file__).parents[1]
BESIDE = ("recbole_configs", "torchrec_configs", "examples")
ASKS = """
import mmbee_plugin
from mmbee_plugin.recbole.config.files import config_folder, paper_settings
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.torchrec.settings import read_settings

print(mmbee_plugin.__file__, config_folder())
assert given_settings("recbole_configs/paper.yaml", []) == paper_settings() != {}
assert read_settings(__import__("pathlib").Path("torchrec_configs/sample.yaml")).model
"""


def python(code: str, path: Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a program that imports from ``path`` first."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The package's files as a wheel has them, without the checkout around them."""
    place = tmp_path_factory.mktemp("installed")
    build = ["build_py", "--build-lib", str(place), "egg_info", "--egg-base", str(place)]
    subprocess.run([sys.executable, "setup.py", "-q", *build], cwd=ROOT, check=True, capture_output=True)
    return place


def test_every_file_of_the_checkout_travels(installed):
    listed = subprocess.run(
        ["git", "ls-files", "mmbee_plugin", *BESIDE], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a clone: git lists what belongs to the package")
    for line in listed.stdout.splitlines():
        assert (installed / "mmbee_plugin" / line.removeprefix("mmbee_plugin/")).is_file(), line


def test_settings_are_found_from_anywhere(installed, tmp_path):
    done = python(ASKS, path=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        f"{installed}/mmbee_plugin/{end}" for end in ("__init__.py", "recbole_configs")
    ]


def test_one_version_everywhere():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited and cited[1] == mmbee_plugin.__version__


def test_the_stand_in_for_ray_says_what_it_is():
    """RecBole's import of ray and its report to no search work with it; a search with it is an error that says so."""
    code = "from ray import tune; tune.report(score=1); print(tune.__file__); tune.run(print)"
    done = python(code, path=ROOT / "packaging" / "ray-none")
    assert "packaging/ray-none/ray/tune.py" in done.stdout
    assert "ImportError: ray.tune.run: ray is not installed" in done.stderr
