from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from mmbee_plugin.modules.named import ModalityModules, ModalityParameters, module_name

NAMES = [
    *("visual", "clip.vit", "clip%2Evit", "clip vit", "clip%20vit", "画像", "a%", "%", "1"),
    *(
        "keys",
        "keys%",
        "items",
        "values",
        "get",
        "pop",
        "update",
        "train",
        "training",
        "parameters",
        "forward",
    ),
    *("weight", "type", "data", "_modules", "_keys", "__class__", "visual.present", "a.", ".b"),
]


def test_ordinary_names_are_kept_and_all_others_differ():
    assert [module_name(name) for name in ("visual", "画像", "clip_vit", "weight")] == [
        *("visual", "画像", "clip_vit", "weight")
    ]
    assert len({module_name(name) for name in NAMES}) == len(NAMES)
    pairs = {
        f"{module_name(a)} from {module_name(b)}"
        for a, b in itertools.product([*NAMES, "a from b"], repeat=2)
    }
    assert len(pairs) == (len(NAMES) + 1) ** 2


@pytest.mark.parametrize("kind", [ModalityModules, ModalityParameters])
def test_containers_of_any_name(kind):
    def made():
        modules = kind is ModalityModules
        return kind({n: nn.Linear(1, 2) if modules else nn.Parameter(torch.randn(2)) for n in NAMES})

    first, second = made(), made()
    order = NAMES if kind is ModalityModules else sorted(NAMES)  # in which torch makes parameters
    assert list(first) == list(first.keys()) == [name for name, _ in first.items()] == order
    assert len(first) == len(NAMES) and all(name in first for name in NAMES) and "audio" not in first
    assert [id(first[name]) for name in order] == [id(one) for _, one in first.items()]
    assert [id(one) for one in first.values()] == [id(first[name]) for name in order]
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert list(copy.deepcopy(first)) == order
    assert not first.eval().training and first.train().training
    del first["clip.vit"]
    assert "clip.vit" not in first and "clip%2Evit" in first
