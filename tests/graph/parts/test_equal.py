"""Snapshots of parts have the files of one process, bit for bit."""

import json

import numpy as np
import pytest

from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.graph.parts.folder import Parts
from mmbee_plugin.graph.parts.merge import merge
from mmbee_plugin.graph.parts.part import make_part
from mmbee_plugin.graph.settings import GraphSettings, NodeStage

EVERY = tuple(path.name for path in every_metapath())


def contents(snapshot):
    """The manifest without times and facts of the run, and the bytes of each file."""
    manifest = json.loads((snapshot.path / "manifest.json").read_text())
    names = [record["stage"] for record in manifest.pop("stages")]
    del manifest["built"]
    files = {
        str(path.relative_to(snapshot.path)): path.read_bytes()
        for path in sorted(snapshot.path.rglob("*.npy"))
    }
    return json.dumps(manifest), names, files


def summed_positives(u2a, users, authors):
    """Node tables that depend on every list of positives."""
    return tuple(
        np.repeat(np.add.reduceat(np.append(lists.all().weights, 0), lists.all().indptr[:-1])[:, None], 2, 1)
        for lists in (users, authors)
    )


@pytest.mark.parametrize("n_parts", [1, 3, 8])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"metapaths": EVERY},
        {"metapaths": EVERY, "normalisation": "symmetric", "reach_lift": True},
        {"folds": 2, "normalisation": "symmetric", "reach_own": True},
        {"folds": 3, "fold_by": "time", "exclude_own": False},
        {"metapaths": EVERY, "walk_max_users": 3, "swing_max_users": 4, "hub_seed": 2},
        {
            "metapaths": ("u2a2u", "a2u"),
            "swing_top_k": 2,
            "swing_user_gamma": 0.5,
            "swing_include_self": False,
        },
        {"metapaths": ("u2a2a",), "amount": "binary", "reach_top_k": 0},
    ],
    ids=lambda chosen: "-".join(f"{name}" for name in chosen) or "default",
)
def test_files_are_those_of_one_process(tmp_path, interactions, features, chosen, n_parts):
    settings = GraphSettings(**({"top_k": 5, "reach_top_k": 4, "reach_inner": 6} | chosen))
    nodes = NodeStage({"width": 2}, summed_positives)
    inputs = Inputs(interactions, settings, features, nodes)
    whole = build(interactions, settings, tmp_path / "whole", attributes=features, nodes=nodes)
    parts = Parts.create(inputs, tmp_path / "parts", n_parts)
    for part in range(n_parts):
        make_part(parts, part)
    joined = merge(inputs, tmp_path / "parts")
    joined.check()
    assert contents(joined) == contents(whole)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [inputs.key]
