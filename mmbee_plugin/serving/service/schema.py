"""What comes in and goes out over HTTP, as types: bodies are checked against them, and `/openapi.json` is made of
them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Token = Annotated[str, Meta(min_length=1, max_length=512)]
Seconds = Annotated[float, Meta(ge=0, le=1e11, description="since the epoch")]
Deadline = Annotated[
    float, Meta(gt=0, le=60_000, description="milliseconds; more than that and no answer is wanted")
]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A body of a request; fields that it does not have are refused."""


class Behaviour(Body):
    """A gift of the user's, to whom and when."""

    author: Token
    time: Seconds | None = None


class ScoreRequest(Body):
    """A user and candidate authors."""

    user: Token
    authors: Annotated[list[Token], Meta(min_length=1)]
    time: Seconds | None = None
    """of the request; now, if it is left out."""
    history: list[Behaviour] | None = None
    """the user's gifts, oldest first; those up to the end of training, if it is left out."""
    logits: bool = False
    """logits instead of chances."""
    deadline_ms: Deadline | None = None


class TopRequest(Body):
    """A user, for the best of all authors on the board."""

    user: Token
    count: Annotated[int, Meta(ge=1, le=1000)] = 10
    time: Seconds | None = None
    history: list[Behaviour] | None = None
    logits: bool = False
    deadline_ms: Deadline | None = None


class Segment(Body):
    """A stretch of an author's live room: per modality a vector, or one for each frame; a modality may be missing."""

    author: Token
    start: Seconds
    end: Seconds | None = None
    """the bundle's segment length after the start, if it is left out."""
    features: dict[str, list[float | list[float]]] = {}


class SegmentsRequest(Body):
    """Segments, in any order."""

    segments: Annotated[list[Segment], Meta(min_length=1)]


class ScoreAnswer(msgspec.Struct):
    """Scores by task in the order of the request; null for authors that cannot be scored, with the reason."""

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


class SegmentsAnswer(msgspec.Struct):
    """What became of each segment, in the order of the request, and how many had each answer."""

    bundle: str
    answers: list[str]
    counts: dict[str, int]


class Error(msgspec.Struct):
    """What is wrong, in one line."""

    error: str


class InferTensor(msgspec.Struct, kw_only=True):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, kw_only=True):
    """Inputs ``user`` (BYTES, [1]) and ``authors`` (BYTES, [C]), and if need be ``time`` (FP64, [1])."""

    inputs: list[InferTensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[Any] = []


class InferAnswer(msgspec.Struct, kw_only=True):
    """Outputs ``authors``, those that could be scored, and a tensor of scores a task."""

    model_name: str
    model_version: str
    id: str
    outputs: list[InferTensor]
    parameters: dict[str, Any]


class ModelAnswer(msgspec.Struct, kw_only=True):
    """The model that serves."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    tasks: list[str]
    data: dict[str, Any]
    refused: str | None


class Health(msgspec.Struct):
    """Whether the service lives, or is ready."""

    ok: bool
