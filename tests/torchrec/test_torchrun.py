"""`mmbee torchrun`: a job that fails ends with its own line and exit status."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_failed_job_is_one_line():
    job = ["-m", "mmbee_plugin.torchrec.train", "--config", "nowhere.yaml"]
    command = [sys.executable, "-m", "mmbee_plugin.cli", "torchrun", "--nproc_per_node=1", *job]
    environment = {name: value for name, value in os.environ.items() if name != "LOGLEVEL"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: nowhere.yaml: cannot be read: No such file or directory\n"
