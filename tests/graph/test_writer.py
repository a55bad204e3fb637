import errno
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph import files
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.settings import GraphSettings, NodeStage
from mmbee_plugin.graph.writer import with_nodes

SETTINGS = GraphSettings(top_k=5)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, monkeypatch, interactions):
    plain, written = files._write, []

    def full(file, array):
        written.append(array)
        if len(written) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(file, array)

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(InputError, match=r"cannot write a graph snapshot \(No space left on device\)"):
        build(interactions, SETTINGS, tmp_path)
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(files, "_write", plain)
    build(interactions, SETTINGS, tmp_path).check()


def test_a_real_limit_on_file_size(tmp_path):
    script = f"""
import resource, sys
import numpy as np
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.settings import GraphSettings, Interactions
random = np.random.default_rng(0)
made = Interactions(random.integers(0, 300, 2000), random.integers(0, 50, 2000), None, 300, 50)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    build(made, GraphSettings(metapaths=("u2a",)), {str(tmp_path / "graph")!r})
except InputError as error:
    sys.exit(str(error))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert "cannot write a graph snapshot (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path / "graph") == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10_000


def test_a_failing_stage_leaves_nothing(tmp_path, interactions):
    def broken(u2a, users, authors):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        build(interactions, SETTINGS, tmp_path, nodes=NodeStage({}, broken))
    assert os.listdir(tmp_path) == []


def test_a_sound_snapshot_published_meanwhile_is_kept(tmp_path, interactions):
    elsewhere = build(interactions, SETTINGS, tmp_path / "elsewhere")
    marks = []

    def publish_the_other(stage):
        if not marks:
            target = tmp_path / "root" / elsewhere.path.name
            shutil.copytree(elsewhere.path, target)
            marks.append(target.stat().st_ino)

    (tmp_path / "root").mkdir()
    built = build(interactions, SETTINGS, tmp_path / "root", progress=publish_the_other)
    assert built.path.stat().st_ino == marks[0]
    assert os.listdir(tmp_path / "root") == [built.path.name]


def test_a_copy_with_other_node_vectors(tmp_path, interactions, features, node_stage):
    first = build(interactions, SETTINGS, tmp_path, features=features, nodes=node_stage(4))
    random = np.random.default_rng(0)
    users, authors = (random.normal(size=(count, 3)).astype(np.float32) for count in (30, 20))
    copy = with_nodes(first, users, authors, {"kind": "other"})
    copy.check()
    assert copy.path.parent == first.path.parent and copy.path != first.path
    assert copy.manifest["nodes"] == {"kind": "other"} and copy.settings == first.settings
    for stored, given in zip(copy.nodes(), (users, authors), strict=True):
        np.testing.assert_array_equal(stored, given)
    assert {
        name
        for name in copy.manifest["files"]
        if copy.manifest["files"][name] != first.manifest["files"][name]
    } == {
        "nodes_user.npy",
        "nodes_author.npy",
    }
    first.check()  # nothing was written through a shared file
    assert with_nodes(first, users, authors, {"kind": "other"}).path == copy.path
    assert sorted(os.listdir(tmp_path)) == sorted([first.path.name, copy.path.name])
    with pytest.raises(InputError, match=r"author vectors have shape \(19, 3\), expected 20 rows"):
        with_nodes(first, users, authors[:19], {})
