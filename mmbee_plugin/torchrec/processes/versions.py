"""Checks before the first import of TorchRec that the installed torch and fbgemm fit together.

fbgemm's kernels are compiled against one release of torch: fbgemm 1.X goes with torch 2.(X + 5). With another one
the import fails on an undefined symbol. CPU and CUDA wheels have different names but the same import package, so the
version is read from the package that would be imported, not from the list of installed distributions.
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import torch

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.errors import InputError, one_line

INSTALL = 'pip install -e ".[torchrec]" (without a GPU with ./packaging/fbgemm-cpu in the same call)'


@dataclass(frozen=True)
class Builds:
    """Versions and build variants of torch and fbgemm."""

    torch: str
    """version of torch, such as 2.13.0+cpu."""
    torch_has_gpu: bool
    """torch is built for a GPU, CUDA or ROCm."""
    gpu_answers: bool
    """a GPU is visible; tables would be placed on it."""
    fbgemm: str
    """version of fbgemm, such as 1.8.0."""
    variant: str
    """device of fbgemm's build: cpu, cuda or rocm; empty if unknown."""


def mismatch(builds: Builds) -> str | None:
    """One line on why the two do not fit and which versions would; None if they fit.

    Development builds of fbgemm, numbered by date, are not checked.
    """
    release, (major, minor) = _release(builds.torch), _release(builds.fbgemm)
    if (0, 0) in (release, (major, minor)) or major > 1:
        return None
    # fbgemm 1.0 came with torch 2.5; before, fbgemm 0.X went with torch 2.(X - 4).
    right = f"1.{release[1] - 5}" if release[0] == 2 and release[1] >= 5 else None
    if f"{major}.{minor}" != right:
        wanted = f"fbgemm-gpu=={right}.* (without a GPU fbgemm-gpu-cpu=={right}.*)"
        return (
            f"fbgemm {builds.fbgemm} is built for torch 2.{minor + (5 if major else -4)}, and torch here is "
            f"{builds.torch}: install {wanted if right else 'torch 2.13 with fbgemm 1.8'}"
        )
    if builds.variant == "cpu" and builds.gpu_answers:
        return (
            f"fbgemm {builds.fbgemm} is the build for CPUs, and there is a GPU here: pip uninstall fbgemm-gpu "
            f"fbgemm-gpu-cpu, then pip install fbgemm-gpu=={right}.*; or hide the GPU with CUDA_VISIBLE_DEVICES="
        )
    if builds.variant in ("cuda", "rocm") and not builds.torch_has_gpu:
        return (
            f"fbgemm {builds.fbgemm} is the build for {builds.variant.upper()}, and torch {builds.torch} the one for "
            "CPUs: pip uninstall fbgemm-gpu, then pip install ./packaging/fbgemm-cpu"
        )
    return None


def check_versions() -> None:
    """Checks that TorchRec can be imported.

    Raises:
        InputError: TorchRec or fbgemm is missing or cannot be loaded, or the builds do not fit.
    """
    for package in ("torchrec", "fbgemm_gpu"):
        check_extra(package, "a TorchRec job")
    version, variant = _fbgemm()
    has_gpu = bool(torch.version.cuda or torch.version.hip)
    builds = Builds(str(torch.__version__), has_gpu, torch.cuda.is_available(), version, variant)
    if problem := mismatch(builds):
        raise InputError(problem)
    try:
        importlib.import_module("fbgemm_gpu")
    except (ImportError, OSError) as error:
        raise InputError(
            f"fbgemm {version} cannot be loaded with torch {torch.__version__} ({one_line(error)}): {INSTALL}"
        ) from None


def _fbgemm() -> tuple[str, str]:
    """Version and variant of the package that would be imported, without importing it; empty if unknown."""
    spec = util.find_spec("fbgemm_gpu")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        try:
            file = Path(folder) / "docs" / "target.default.json.py"
            target = json.loads(file.read_text(encoding="utf-8"))
            return str(target["version"]), str(target["variant"])
        except (OSError, ValueError, KeyError):
            continue
    for name in ("fbgemm-gpu-cpu", "fbgemm-gpu"):
        try:
            return metadata.version(name), ""
        except metadata.PackageNotFoundError:
            continue
    return "", ""


def _release(version: str) -> tuple[int, int]:
    """Major and minor number; (0, 0) if there are none."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
