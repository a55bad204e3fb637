"""One-line errors for libraries that are not installed, with the pip command that installs them here."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

from mmbee_plugin.errors import InputError

PROJECT = "mmbee-plugin"
PACKAGES = {
    "fbgemm_gpu": "fbgemm-gpu",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
    "torch_geometric": "torch-geometric",
    "yaml": "pyyaml",
}
"""import name -> distribution name, where they differ"""
NOT_FOR_USERS = ("test", "benchmarks")


def check_extra(module: str, purpose: str) -> None:
    """Raises InputError, naming ``purpose``, if a library is not installed; ``module`` is its import name."""
    if not installed(module):
        raise missing(module, purpose)


def installed(module: str) -> bool:
    """Whether a top-level module can be found, without importing it."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def missing(module: str, purpose: str = "this command") -> InputError:
    """The error for a library that is not installed.

    Args:
        module: its import name.
        purpose: what needs it, for the message.
    """
    package = PACKAGES.get(module, module)
    bound, extra = _declared(package)
    plain = f"pip install {shlex.quote(package + bound)}"
    checkout = Path(__file__).parents[2]
    if extra is not None and (checkout / "setup.py").is_file():
        command = f"pip install -e {shlex.quote(f'{checkout}[{extra}]')}"
        if extra == "recbole":
            command += f" {shlex.quote(f'{checkout}/packaging/ray-none')}"
        if extra == "torchrec":
            command += (
                f" (without a GPU with {shlex.quote(f'{checkout}/packaging/fbgemm-cpu')} in the same call)"
            )
        return InputError(f"{purpose} needs {package}, which is not installed: {command}, or {plain}")
    return InputError(f"{purpose} needs {package}, which is not installed: {plain}")


def _declared(package: str) -> tuple[str, str | None]:
    """Version bound of a package and the extra that requires it, from this project's metadata."""
    try:
        requirements = metadata.requires(PROJECT) or []
    except metadata.PackageNotFoundError:
        return "", None
    for requirement in requirements:
        found = re.match(r"([\w.-]+)([^;]*)(?:;.*extra == [\"']([\w-]+)[\"'])?", requirement)
        if found and _same(found[1], package) and found[3] not in NOT_FOR_USERS:
            return found[2].strip(), found[3]
    return "", None


def _same(one: str, other: str) -> bool:
    return re.sub("[-_.]+", "-", one).lower() == re.sub("[-_.]+", "-", other).lower()
