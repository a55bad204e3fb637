"""Which of the graph stage's settings decide something, whatever the others are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mmbee_plugin.graph.settings import REFRESHING, GraphSettings

BY_CONTENT = tuple(f"content_{name}" for name in ("top_k", "modalities", "share", "sharpness"))
OF_VISITS = ("visits", *(f"visits_{name}" for name in ("prior", "profile", "rank", "floor")))
OF_REACH = ("reach_top_k", "reach_inner", "reach_own", "reach_lift")
OF_SWING = tuple(
    f"swing_{name}" for name in ("alpha", "include_self", "top_k", "max_users", "user_beta", "user_gamma")
)
IN_TRAINING_ONLY = REFRESHING | {"folds", "fold_by", "fold_seed", "metapaths"}
"""settings of what training sees, and of how lists were made; metapaths are a model's own"""


def unread(settings: GraphSettings) -> set[str]:
    """Settings of the long walk that have no effect beside the others."""
    readers = {
        BY_CONTENT: settings.steps_by_content,
        OF_VISITS: settings.pools_visits,
        ("visits_prior",): settings.visits,
        ("visits_rank",): settings.visits_profile,
    }
    return {name for names, read in readers.items() if not read for name in names}


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
    if not reach:
        left_out |= set(OF_REACH)
    if not attributes:
        left_out |= {"statistics"}
    if not any("a2a" in name for name in metapaths):
        left_out |= set(OF_SWING)
    if settings.walk_max_users is None and settings.swing_max_users is None:
        left_out |= {"hub_seed"}
    return settings.model_dump(mode="json", exclude=left_out)
