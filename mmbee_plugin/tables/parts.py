"""Parts of MMBee, and the settings of the model without each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmbee_plugin.experiments.rows import Settings

GRAPH, CONTENT = "Graph", "Multi-modal"
"""kinds of parts, as the paper's Table 7 has them"""
MFQ, QUERIES, MATCH = "MFQ", "queries", "match"
GIE, GRAPHCL, REACH, FOLDS = "GIE", "GraphCL", "reach", "folds"
BY_CONTENT, VISITS = "reach by content", "reach by visits"


@dataclass(frozen=True)
class Part:
    """A part of the model.

    Attributes:
        kind: :data:`GRAPH` or :data:`CONTENT`.
        without: settings of the model without it.
        operator: the row of Table 7 without it; empty for a part that has none there.
    """

    name: str
    kind: str
    without: Settings
    operator: str = ""


def model_parts(metapaths: Sequence[str]) -> tuple[Part, ...]:
    """The parts of a model with these metapaths; reach, folds and match are not in the paper."""
    return (
        *(
            Part(left_out, GRAPH, {"metapaths": kept}, f"h_{left_out}(-)")
            for left_out, kept in without_each(metapaths)
        ),
        Part(GRAPHCL, GRAPH, {"node_tables": "fresh"}, "Θ(-)"),
        Part(REACH, GRAPH, {"graph": {"reach_top_k": 0}}, "reach(-)"),
        Part(BY_CONTENT, GRAPH, {"graph": {"content_top_k": 0}}),
        Part(VISITS, GRAPH, {"graph": {"visits": 0.0, "visits_profile": 0.0}}),
        Part(FOLDS, GRAPH, {"graph": {"folds": 0}}),
        Part(GIE, GRAPH, {"interest": "none"}, "h_g(-)"),
        Part(MFQ, CONTENT, {"content": "none"}, "h_m(-)"),
        Part(QUERIES, CONTENT, {"use_queries": False}, "q_m(-)"),
        Part(MATCH, CONTENT, {"match": False}, "match(-)"),
    )


def modality_parts(modalities: Sequence[str]) -> tuple[Part, ...]:
    """The modalities of a dataset as parts."""
    return tuple(Part(left_out, CONTENT, {"modalities": kept}) for left_out, kept in without_each(modalities))


def without_each(names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each name, with all others.

    Example:
        >>> list(without_each(["a", "b"]))
        [('a', ['b']), ('b', ['a'])]
    """
    for left_out in names:
        yield left_out, [name for name in names if name != left_out]
