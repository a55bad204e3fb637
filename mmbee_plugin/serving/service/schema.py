"""Types of request and response bodies, which validate them and generate `/openapi.json` (docstrings included)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Token = Annotated[str, Meta(min_length=1, max_length=512)]
LATEST = 1e11
"""seconds since the epoch, of the year 5138"""
Seconds = Annotated[float, Meta(ge=0, le=LATEST, description="since the epoch")]
Deadline = Annotated[
    float, Meta(gt=0, le=60_000, description="milliseconds; more than that and no answer is wanted")
]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request body; unknown fields are an error."""


class Behaviour(Body):
    """A past gift of the user: author and time."""

    author: Token
    time: Seconds | None = None


class ScoreRequest(Body):
    """A user and candidate authors."""

    user: Token
    authors: Annotated[list[Token], Meta(min_length=1)]
    time: Seconds | None = None
    """time of the request; default: now."""
    history: list[Behaviour] | None = None
    """the user's gifts, oldest first; default: those up to the end of training."""
    logits: bool = False
    """whether to return logits instead of chances."""
    deadline_ms: Deadline | None = None


class TopRequest(Body):
    """A user, and how many of the board's best authors to return."""

    user: Token
    count: Annotated[int, Meta(ge=1, le=1000)] = 10
    time: Seconds | None = None
    history: list[Behaviour] | None = None
    logits: bool = False
    deadline_ms: Deadline | None = None


class ExplainRequest(Body):
    """A user and one author."""

    user: Token
    author: Token
    time: Seconds | None = None
    history: list[Behaviour] | None = None
    deadline_ms: Deadline | None = None


class Segment(Body):
    """A segment of an author's live room: per modality one vector, or one for each frame; modalities may be missing."""

    author: Token
    start: Seconds
    end: Seconds | None = None
    """default: the bundle's segment length after the start."""
    features: dict[str, list[float | list[float]]] = {}


class SegmentsRequest(Body):
    """Segments, in any order."""

    segments: Annotated[list[Segment], Meta(min_length=1)]


class ScoreAnswer(msgspec.Struct):
    """Scores by task, in the order of the request; null for authors without a score, whose reasons are in missing."""

    bundle: str
    scores: dict[str, list[float | None]]
    missing: dict[str, str]
    flags: list[str]


class TopAnswer(msgspec.Struct):
    """The best authors, with their scores by task."""

    bundle: str
    authors: list[str]
    scores: dict[str, list[float]]
    flags: list[str]


class Part(msgspec.Struct):
    """A part of a score, and by task how far the logit falls when it alone is left out; below zero, it rises."""

    kind: str
    name: str
    falls: dict[str, float]


class Room(msgspec.Struct):
    """The author's newest segments, oldest first: their times, which of them have each modality, and the weights with
    which each of the author's queries reads them: by query, modality and segment, null for a model without queries."""

    starts: list[float]
    ends: list[float]
    present: dict[str, list[bool]]
    attention: list[list[list[float]]] | None


class ExplainAnswer(msgspec.Struct):
    """A score by task, its logit, and its parts, those that move the first task's logit most first. ``absent``: parts
    that the model reads and the pair lacks; ``fixed``: kinds of parts that were encoded with the bundle and cannot be
    left out; ``missing``: why the author has no score, which then is null."""

    bundle: str
    scores: dict[str, float | None]
    logits: dict[str, float | None]
    missing: str | None
    parts: list[Part]
    absent: list[str]
    fixed: list[str]
    room: Room | None
    flags: list[str]


class SegmentsAnswer(msgspec.Struct):
    """The answer to each segment, in the order of the request, and the count of each answer."""

    bundle: str
    answers: list[str]
    counts: dict[str, int]


class Error(msgspec.Struct):
    """The reason of an error, in one line."""

    error: str


class InferTensor(msgspec.Struct, kw_only=True):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, kw_only=True):
    """Inputs ``user`` (BYTES, [1]) and ``authors`` (BYTES, [C]), optionally ``time`` (FP64, [1])."""

    inputs: list[InferTensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[Any] = []


class InferAnswer(msgspec.Struct, kw_only=True):
    """Outputs ``authors``, those with a score, and one tensor of scores for each task."""

    model_name: str
    model_version: str
    id: str
    outputs: list[InferTensor]
    parameters: dict[str, Any]


class ModelAnswer(msgspec.Struct, kw_only=True):
    """The served model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    tasks: list[str]
    scores: dict[str, str]
    """what the scores of each task are: ``chances in the log``, ``chances among the training rows``, or ``logits``."""
    data: dict[str, Any]
    example: str
    """a user of the bundle."""
    refused: str | None


class Health(msgspec.Struct):
    """Whether the service is live, or ready."""

    ok: bool
