"""Which of the graph stage's settings decide something, whatever the others are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mmbee_plugin.graph.settings import REFRESHING, GraphSettings
from mmbee_plugin.settings.needs import Setting

OF_SWING = {name for name in GraphSettings.model_fields if name.startswith("swing_")}
IN_TRAINING_ONLY = REFRESHING | {"folds", "fold_by", "fold_seed", "metapaths"}
"""settings of what training sees, and of how lists were made; metapaths are a model's own"""


def unread(settings: GraphSettings) -> set[str]:
    """Settings that have no effect beside the others."""
    return {name for name in type(settings).model_fields if Setting(settings, name).unread() is not None}


def of_lists(
    settings: GraphSettings, metapaths: Collection[str], reach: bool, attributes: bool
) -> dict[str, Any]:
    """The settings that decide what a model reads of the whole graph, as plain values.

    Args:
        settings: of the snapshot.
        metapaths: whose lists the model reads.
        reach: whether it reads the long walk's lists.
        attributes: whether it reads what neighbours bring along.
    """
    settings = settings if reach else settings.replace(reach_top_k=0)
    left_out = IN_TRAINING_ONLY | unread(settings)
    if not attributes:
        left_out |= {"statistics"}
    if not any("a2a" in name for name in metapaths):
        left_out |= OF_SWING
    return settings.model_dump(mode="json", exclude=left_out)
