"""The parts a model is composed of, by name, and what a choice of them needs.

A new part is a file with its class and a row here. What a part needs of data, tables and training it states itself, as
attributes of its class (:class:`Backbone`, :class:`Content`, :class:`Interest`, :class:`Head`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from mmbee_plugin.modules.backbone import Backbone
from mmbee_plugin.modules.bdr import PeerAttention
from mmbee_plugin.modules.concat import Concat
from mmbee_plugin.modules.content import Content, NoContent
from mmbee_plugin.modules.dien import DIEN
from mmbee_plugin.modules.din import DIN
from mmbee_plugin.modules.ego_fusion import EgoFusion
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.heads import DotHead, Head, MLPHead
from mmbee_plugin.modules.interest import Interest, NoInterest
from mmbee_plugin.modules.mean import MeanHistory
from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.modules.mmoe import MMoE
from mmbee_plugin.modules.mta import MTA
from mmbee_plugin.modules.sasrec import SASRec
from mmbee_plugin.modules.shapes import GTRShapes
from mmbee_plugin.modules.sim import SIM
from mmbee_plugin.settings.needs import ReadBy
from mmbee_plugin.settings.section import Section
from mmbee_plugin.settings.words import OneOf

BACKBONES: dict[str, type[Backbone]] = {
    "sim": SIM,
    "din": DIN,
    "dien": DIEN,
    "sasrec": SASRec,
    "mmoe": MMoE,
    "mean": MeanHistory,
}
CONTENTS: dict[str, type[Content]] = {
    "none": NoContent,
    "concat": Concat,
    "mfq": MFQ,
    "mta": MTA,
    "ego_fusion": EgoFusion,
}
INTERESTS: dict[str, type[Interest]] = {"none": NoInterest, "gie": GIE, "bdr": PeerAttention}
HEADS: dict[str, type[Head]] = {"mlp": MLPHead, "dot": DotHead}


class PartSettings(Section):
    """Which parts make the model."""

    backbone: Annotated[str, OneOf(BACKBONES)] = "mean"
    """what reads the user's history: sim, din and dien with the target in mind | mean | sasrec: newest behaviour by
    self-attention | mmoe: experts over its mean, for several tasks"""
    content: Annotated[str, OneOf(CONTENTS)] = "mfq"
    """encoder of the author's content"""
    interest: Annotated[str, OneOf(INTERESTS)] = "gie"
    """encoder of both sides' neighbours in the graphs"""
    head: Annotated[str, OneOf(HEADS), ReadBy("backbone")] = "dot"
    """mlp: the paper's, over concatenated vectors | dot: ids and two towers; mmoe has a head of its own"""


class GTRSettings(GTRShapes, PartSettings):
    """The parts of a model on given data."""


def head_of(backbone: str, head: str) -> type[Head]:
    """The head of a model: the backbone's own, or else the one named."""
    return BACKBONES[backbone].head or HEADS[head]


def pays_per_pair(backbone: str, interest: str, head: str) -> bool:
    """Whether scoring a pair takes attention, experts or BDR; then the softmax runs over each row's own candidates, not
    over all candidates of the batch."""
    own_score = INTERESTS[interest].pair_score is not None
    return BACKBONES[backbone].per_pair or own_score or head_of(backbone, head).per_pair


def needs_user_ids(backbone: str, interest: str, metapaths: Sequence[str]) -> str | None:
    """Why these parts cannot do without users' id vectors, or None if they can."""
    encoder = INTERESTS[interest]
    if encoder.peer_paths:
        return f"user_ids false: interest {interest} reads users' id vectors; set user_ids to true"
    from_users = encoder.takes_means and any(path.startswith("u") for path in metapaths)
    if not (BACKBONES[backbone].knows_user or from_users):
        known = f"backbone {backbone} without a metapath from users knows nothing of a user alone"
        return f"user_ids false: {known}; set user_ids to true"
    return None


def needs_prefixes(backbone: str, short: int, history: str) -> str | None:
    """Why a backbone cannot be trained on histories of this kind (``prefix``, ``others``, ``daily``), or None.

    Args:
        short: newest behaviours that are read apart, by backbones that do so.
    """
    part = BACKBONES[backbone]
    if (part.reads_order or (part.reads_newest and short)) and history == "others":
        reads = f"backbone {backbone} reads the order of behaviours"
        return f"{reads}, and history others has what came after the target; set history to prefix"
    return None


def reads_graph(interest: str | None, metapaths: Sequence[str] | None) -> bool:
    """Whether an interest encoder (None for a model that has no such slot) reads lists of neighbours."""
    return interest is not None and bool(INTERESTS[interest].lists(tuple(metapaths or ())))
