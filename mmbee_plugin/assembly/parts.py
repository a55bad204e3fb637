"""Derives the settings of a model's parts from the model's settings and the shape of its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mmbee_plugin.assembly.settings import ModelSettings
from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.parts import BACKBONES, GTRSettings, head_of
from mmbee_plugin.modules.shapes import ContentSettings, SIMSettings
from mmbee_plugin.modules.sim import GAP_BUCKETS, chosen_search


@dataclass(frozen=True)
class DataShape:
    """Properties of a dataset that determine a model's parts and their widths."""

    widths: Mapping[str, int]
    """width D_m of each modality of the content encoder, in token order; of a word bag the width of its vectors."""
    attribute_width: int
    """width of the neighbours' mean attributes, 0 for none."""
    reach: bool
    """whether long-walk lists are stored."""
    ordered: bool
    """whether rows have a time."""
    categories: bool
    """whether authors have categories."""
    pooled_at: float | None = None
    """the ``reach_floor`` that long-walk lists with visits are made for; None without visits in them."""
    tasks: tuple[str, ...] = ()
    """tasks labelled besides gifts."""


class Parts(NamedTuple):
    """The arguments of a :class:`~mmbee_plugin.modules.gtr.GTRModel`."""

    gtr: GTRSettings
    content: ContentSettings
    sim: SIMSettings


def parts_of(model: ModelSettings, data: DataShape) -> Parts:
    """Settings of the parts.

    Raises:
        InputError: search by category on authors without categories, or lists with visits for another ``reach_floor``.
    """
    gtr = model.part(
        GTRSettings,
        user_metapaths=tuple(name for name in model.means if name.startswith("u")),
        author_metapaths=tuple(name for name in model.means if name.startswith("a")),
        attribute_width=data.attribute_width,
        reach=bool(model.means) and data.reach,
        tasks=("gift", *(data.tasks if head_of(model.backbone, model.head).several_tasks else ())),
    )
    if gtr.reach and data.pooled_at not in (None, gtr.reach_floor):
        raise InputError(
            f"reach_floor {gtr.reach_floor}: the long walk's lists have visits for {data.pooled_at}; set reach_floor "
            "to that, or graph.visits_floor to reach_floor"
        )
    content = model.part(ContentSettings, widths=dict(data.widths), width=model.content_width)
    searches = BACKBONES[model.backbone].searches
    search = chosen_search(model.search, data.categories) if searches else "soft"
    return Parts(
        gtr, content, model.part(SIMSettings, search=search, gaps=GAP_BUCKETS if data.ordered else 0)
    )
