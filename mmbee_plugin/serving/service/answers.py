"""Computes typed answers to typed requests with one scorer, in a lane's thread."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.evaluation.chances import chances_in_log
from mmbee_plugin.serving import explanation
from mmbee_plugin.serving import scorer as scoring
from mmbee_plugin.serving.bundle.source import LiveContent
from mmbee_plugin.serving.intake import segments
from mmbee_plugin.serving.scorer import Scorer, Scores
from mmbee_plugin.serving.service import schema
from mmbee_plugin.serving.service.bodies import Wrong
from mmbee_plugin.serving.swap.follower import Follower
from mmbee_plugin.serving.swap.holder import Holder

IN_LOG, OF_ROWS, LOGITS = "chances in the log", "chances among the training rows", "logits"
"""what scores are"""


def score(scorer: Scorer, request: schema.ScoreRequest) -> schema.ScoreAnswer:
    """A user's scores for the authors of a request."""
    found = scorer.score(request.user, request.authors, _now(request.time), _history(request.history))
    columns = _as_asked(scorer, found, request.logits).T.tolist()
    for place in sorted(found.missing):
        for column in columns:
            column.insert(place, None)
    scores = dict(zip(scorer.bundle.gtr.tasks, columns, strict=True))
    return schema.ScoreAnswer(scorer.bundle.id, scores, _reasons(request.authors, found), list(found.flags))


def top(scorer: Scorer, request: schema.TopRequest) -> schema.TopAnswer:
    """A user's best authors of the board."""
    history = _history(request.history)
    authors, found = scorer.top(request.user, request.count, _now(request.time), history)
    rows = _as_asked(scorer, found, request.logits)
    scores = dict(zip(scorer.bundle.gtr.tasks, rows.T.tolist(), strict=True))
    return schema.TopAnswer(scorer.bundle.id, authors, scores, list(found.flags))


def explain(scorer: Scorer, request: schema.ExplainRequest) -> schema.ExplainAnswer:
    """A pair's score and its parts."""
    tasks = scorer.bundle.gtr.tasks
    history = _history(request.history)
    found = explanation.explain(scorer, request.user, request.author, _now(request.time), history)
    scores: dict[str, float | None] = dict.fromkeys(tasks)
    logits, parts, absent = dict(scores), [], []
    if found.occluded is not None:
        logits = dict(zip(tasks, found.occluded.logits, strict=True))
        row = np.array([found.occluded.logits], dtype=np.float32)
        scores = dict(zip(tasks, _as_asked(scorer, Scores(row), False)[0].tolist(), strict=True))
        parts = [
            schema.Part(one.kind, one.name, dict(zip(tasks, one.falls, strict=True)))
            for one in found.occluded.falls
        ]
        absent = list(found.occluded.absent)
    room = None
    if found.room is not None:
        starts = [float(one.start) for one in found.room.segments]
        ends = [float(one.end) for one in found.room.segments]
        present = {name: list(there) for name, there in found.room.present.items()}
        room = schema.Room(starts, ends, present, found.room.attention)
    return schema.ExplainAnswer(
        bundle=scorer.bundle.id,
        scores=scores,
        logits=logits,
        missing=found.missing,
        parts=parts,
        absent=absent,
        fixed=list(found.fixed),
        room=room,
        flags=list(found.flags),
    )


def take(follower: Follower, request: schema.SegmentsRequest) -> schema.SegmentsAnswer:
    """Adds live segments to the board. Raises InputError if no live data are served."""
    scorer = follower.scorer
    assert scorer is not None
    live = scorer.bundle.live
    made = [
        (one.author, segments.segment_of(one.start, one.end, one.features, live or LiveContent(0.0, 1, {})))
        for one in request.segments
    ]
    answers = segments.take(follower, made, live)
    return schema.SegmentsAnswer(scorer.bundle.id, answers, dict(Counter(answers)))


def infer(scorer: Scorer, request: schema.InferRequest) -> tuple[schema.InferAnswer, dict[str, str]]:
    """Scores by the Open Inference Protocol, and why authors have none. Raises Wrong for malformed input tensors."""
    inputs = {one.name: one for one in request.inputs}
    user, authors = _strings(inputs, "user"), _strings(inputs, "authors")
    if len(user) != 1:
        raise Wrong(400, f"input user: {len(user)} values, expected 1")
    found = scorer.score(user[0], authors, _now(_moment(inputs)))
    rows = _as_asked(scorer, found, False)
    scored = [author for place, author in enumerate(authors) if place not in found.missing]
    shape = [len(scored)]
    outputs = [schema.InferTensor(name="authors", shape=shape, datatype="BYTES", data=scored)]
    for task, values in zip(scorer.bundle.gtr.tasks, rows.T.tolist(), strict=True):
        outputs.append(schema.InferTensor(name=task, shape=shape, datatype="FP32", data=values))
    made = schema.InferAnswer(
        model_name="mmbee",
        model_version=scorer.bundle.id,
        id=request.id,
        outputs=outputs,
        parameters={"flags": ",".join(found.flags)},
    )
    return made, _reasons(authors, found)


def described(follower: Holder, scorer: Scorer) -> schema.ModelAnswer:
    """Description of the served model."""
    tasks = scorer.bundle.gtr.tasks
    return schema.ModelAnswer(
        name="mmbee",
        versions=[scorer.bundle.id],
        platform="mmbee",
        inputs=[
            {"name": "user", "datatype": "BYTES", "shape": [1]},
            {"name": "authors", "datatype": "BYTES", "shape": [-1]},
        ],
        outputs=[
            {"name": "authors", "datatype": "BYTES", "shape": [-1]},
            *({"name": task, "datatype": "FP32", "shape": [-1]} for task in tasks),
        ],
        tasks=list(tasks),
        scores=_kinds(scorer),
        data=dict(scorer.bundle.manifest["data"]),
        example=scorer.example,
        refused=follower.refused,
    )


def _now(moment: float | None) -> float:
    return time.time() if moment is None else moment


def _moment(inputs: dict[str, schema.InferTensor]) -> float | None:
    """The time in a request of the Open Inference Protocol."""
    values = inputs["time"].data if "time" in inputs else [None]
    if values == [None]:
        return None
    try:
        (moment,) = msgspec.convert(values, tuple[schema.Seconds])
    except msgspec.ValidationError:
        raise Wrong(
            400, f"input time: one number of seconds from 0 to {schema.LATEST:g} is expected"
        ) from None
    return moment


def _reasons(authors: Sequence[str], found: Scores) -> dict[str, str]:
    """Author -> why it has no score."""
    return {authors[place]: reason for place, reason in found.missing.items()}


def _history(given: Sequence[schema.Behaviour] | None) -> list[scoring.Behaviour] | None:
    return None if given is None else [scoring.Behaviour(one.author, one.time) for one in given]


def _as_asked(scorer: Scorer, found: Scores, logits: bool) -> NDArray[np.float32]:
    """(C, T) chances, those of the first task in the log; logits if asked for or if the loss is not logistic."""
    if logits or not scorer.bundle.manifest["chances"]:
        return found.logits
    chances = torch.from_numpy(found.logits).sigmoid().numpy()
    if (share := scorer.bundle.trained_share) is not None:
        chances[:, 0] = chances_in_log(found.logits[:, 0], share)
    return chances


def _kinds(scorer: Scorer) -> dict[str, str]:
    """What the scores of each task are."""
    tasks, bundle = scorer.bundle.gtr.tasks, scorer.bundle
    kinds = dict.fromkeys(tasks, OF_ROWS if bundle.manifest["chances"] else LOGITS)
    return kinds if bundle.trained_share is None else {**kinds, tasks[0]: IN_LOG}


def _strings(inputs: dict[str, schema.InferTensor], name: str) -> list[str]:
    if name not in inputs:
        raise Wrong(400, f"no input {name!r}")
    tensor = inputs[name]
    if tensor.datatype != "BYTES" or not all(isinstance(value, str) for value in tensor.data):
        raise Wrong(400, f"input {name}: strings are expected, as datatype BYTES")
    if math.prod(tensor.shape) != len(tensor.data):
        raise Wrong(400, f"input {name}: shape {tensor.shape} is not that of {len(tensor.data)} values")
    return tensor.data
