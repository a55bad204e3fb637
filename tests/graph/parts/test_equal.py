"""Snapshots of parts have the files of one process, bit for bit."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mmbee_plugin.graph import product, routes
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.graph.parts.cutting import cut
from mmbee_plugin.graph.parts.folder import Parts, make_block
from mmbee_plugin.graph.parts.merge import merge
from mmbee_plugin.graph.parts.part import make_part

EVERY = tuple(path.name for path in every_metapath())
CHOSEN = {
    "default": {},
    "every path": {"metapaths": EVERY},
    "symmetric": {"metapaths": EVERY, "normalisation": "symmetric", "reach_lift": True},
    "folds": {"folds": 2, "normalisation": "symmetric", "reach_own": True},
    "no content": {"content_top_k": 0, "folds": 2, "reach_lift": True},
    "an empty fold": {"folds": 3, "fold_by": "time", "exclude_own": False},
    "caps": {"metapaths": EVERY, "walk_max_users": 3, "swing_max_users": 4, "hub_seed": 2},
    "other positives": {
        "metapaths": ("u2a2u", "a2u"),
        "swing_top_k": 2,
        "swing_user_gamma": 0.5,
        "swing_include_self": False,
    },
    "visits": {
        "folds": 2,
        "fold_by": "day",
        "reach_own": True,
        "reach_lift": True,
        "visits": 1.0,
        "visits_profile": 0.5,
    },
    "no reach": {"metapaths": ("u2a2a",), "amount": "binary", "reach_top_k": 0},
    "no lists": {"metapaths": (), "reach_top_k": 0},
}


def made_in_parts(inputs, root, n_parts):
    parts = Parts.create(inputs, root, n_parts)
    for part in range(n_parts):
        make_part(parts, part)
    joined = merge(inputs, root)
    joined.check()
    assert os.listdir(root) == [inputs.key]
    return joined


@pytest.mark.parametrize("name", CHOSEN)
def test_files_are_those_of_one_process(tmp_path, inputs_of, whole, contents, name):
    inputs = inputs_of(**CHOSEN[name])
    assert contents(made_in_parts(inputs, tmp_path / "parts", 3)) == whole(inputs)


@pytest.mark.parametrize(
    ("n_parts", "chosen"), [(1, {"folds": 2}), (8, {}), (40, {"metapaths": ("u2a", "a2a"), "reach_top_k": 0})]
)
def test_any_number_of_parts(tmp_path, inputs_of, whole, contents, n_parts, chosen):
    """Also more parts than rows."""
    inputs = inputs_of(**chosen)
    assert contents(made_in_parts(inputs, tmp_path / "parts", n_parts)) == whole(inputs)


@pytest.mark.parametrize("stored", [True, False])
def test_pruned_rows_whatever_block_they_are_in(tmp_path, monkeypatch, inputs_of, whole, contents, stored):
    """One process prunes no row, parts all, in products of two graphs and of three."""
    if not stored:
        monkeypatch.setattr(routes, "_CHUNK", 60)
        monkeypatch.setattr(routes, "_STORED", 60)
    inputs = inputs_of(metapaths=EVERY, top_k=2, exclude_own=False)
    expected = whole(inputs)
    asked = []

    def every_row(work, degrees, top_k, n_entries):
        asked.append(np.count_nonzero(work))
        return work > 0

    monkeypatch.setattr(product, "worth_pruning", every_row)
    monkeypatch.setattr(routes, "worth_pruning", every_row)
    assert contents(made_in_parts(inputs, tmp_path / "parts", 3)) == expected
    assert sum(asked) > 400


def test_an_engine_makes_blocks_anywhere(tmp_path, inputs_of, whole, contents):
    """Each block by a copy of what it reads, as on an executor without the disk, last block first."""
    inputs = inputs_of(folds=2)
    parts = Parts.create(inputs, tmp_path / "parts", 3)
    for step in parts.steps:
        parts.prepare(step)
        for block in reversed(parts.missing(step)):
            away = tmp_path / f"{step}-{block}".replace("/", "-")
            needed = [f"{name}/{state}" for name in parts.needs(step) for state in ("plan", "joined")]
            for name in ("given", f"{step}/plan", *needed):
                if not (folder := parts.path / name).exists():
                    continue
                target = away / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(folder)
            arrays, stages = make_block(away, step, block)
            assert all(array.ndim == 1 for array in arrays.values())
            parts.keep(step, block, (arrays, stages))
    assert contents(merge(inputs, tmp_path / "parts")) == whole(inputs)


def test_blocks_import_no_model():
    script = "import sys, mmbee_plugin.graph.parts.part as part; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "mmbee_plugin.graph.parts.folder" in loaded
    rooms = {name.split(".")[1] for name in loaded if name.startswith("mmbee_plugin.")}
    assert rooms <= {"graph", "kernels", "data", "command", "settings", "randomness", "files", "errors"}
    assert not loaded & {"torch", "recbole", "typer", "pandas"}


def test_blocks_have_equal_work():
    rng = np.random.default_rng(0)
    seconds = rng.pareto(2.0, 10_000)
    edges = cut(seconds, 7)
    assert edges[0] == 0 and edges[-1] == 10_000 and (np.diff(edges) > 0).all()
    shares = np.add.reduceat(seconds, edges[:-1]) / seconds.sum()
    assert abs(shares - 1 / 7).max() <= seconds.max() / seconds.sum()
    assert cut(np.zeros(4), 2).tolist() == [0, 2, 4]
    assert cut(np.ones(2), 5)[[0, -1]].tolist() == [0, 2] and cut(np.zeros(0), 3).tolist() == [0, 0, 0, 0]
