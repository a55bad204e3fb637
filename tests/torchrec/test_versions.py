"""A pair of torch and fbgemm that cannot work is named before TorchRec is imported."""

import json
import os
import subprocess
import sys

import pytest

from mmbee_plugin.torchrec.processes.versions import Builds, check_versions, mismatch


def builds(torch="2.13.0+cpu", fbgemm="1.8.0", variant="cpu", torch_has_gpu=False, gpu_answers=False):
    return Builds(torch, torch_has_gpu, gpu_answers, fbgemm, variant)


@pytest.mark.parametrize(
    "fitting",
    [
        builds(),
        builds("2.11.0", "1.6.0", "cuda", torch_has_gpu=True, gpu_answers=True),
        builds("2.13.0+cu130", "1.8.0", "cpu", torch_has_gpu=True),  # the usual wheel of torch, no GPU
        builds("2.13.0", "1.8.0+cu126", ""),
        builds("2.15.0.dev20261101", "2026.11.1", "cpu"),
    ],
)
def test_pairs_that_fit(fitting):
    assert mismatch(fitting) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (builds(fbgemm="1.9.0"), "fbgemm 1.9.0 is built for torch 2.14"),
        (builds(fbgemm="1.9.0"), "fbgemm-gpu-cpu==1.8.*"),
        (builds(torch="2.12.1"), "fbgemm-gpu==1.7.*"),
        (builds(fbgemm="0.8.0"), "built for torch 2.4"),
        (builds("2.13.0", torch_has_gpu=True, gpu_answers=True), "pip install fbgemm-gpu==1.8.*"),
        (builds(variant="cuda"), "pip install ./packaging/fbgemm-cpu"),
    ],
)
def test_pairs_that_do_not_fit(wrong, said):
    message = mismatch(wrong)
    assert message is not None and said in message and "\n" not in message


def test_what_is_installed_here_fits():
    check_versions()


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [
        ("1.9.0", "", "is built for torch 2.14"),
        ("1.8.0", "raise OSError('undefined symbol: _ZN3c10')", "cannot be loaded with torch"),
    ],
)
def test_a_wrong_package_on_the_path_is_one_line(tmp_path, version, code, said):
    docs = tmp_path / "fbgemm_gpu" / "docs"
    docs.mkdir(parents=True)
    (tmp_path / "fbgemm_gpu" / "__init__.py").write_text(code)
    target = {"version": version, "target": "default", "variant": "cpu"}
    (docs / "target.default.json.py").write_text(json.dumps(target))
    program = (
        "from mmbee_plugin.errors import InputError\n"
        "from mmbee_plugin.torchrec.processes.versions import check_versions\n"
        "try: check_versions()\n"
        "except InputError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert said in done.stdout and done.stdout.count("\n") == 1
