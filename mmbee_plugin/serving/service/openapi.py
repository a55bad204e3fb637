"""`/openapi.json`, generated from the types of `schema`, and `/docs`, the same as one self-contained HTML page."""

from __future__ import annotations

import html
import json
from functools import cache
from typing import Any

import msgspec

from mmbee_plugin.serving.service import schema

ROUTES: tuple[tuple[str, str, str, type | None, type | None, tuple[int, ...]], ...] = (
    ("get", "/v2/health/live", "Whether the process answers.", None, schema.Health, ()),
    ("get", "/v2/health/ready", "Whether a bundle serves.", None, schema.Health, (503,)),
    ("get", "/v2/models/mmbee", "The model that serves.", None, schema.ModelAnswer, (401, 503)),
    (
        "post",
        "/v2/models/mmbee/infer",
        "Scores, by the Open Inference Protocol.",
        schema.InferRequest,
        schema.InferAnswer,
        (400, 401, 403, 408, 413, 429, 503),
    ),
    (
        "post",
        "/v1/score",
        "Scores of a user for candidate authors.",
        schema.ScoreRequest,
        schema.ScoreAnswer,
        (400, 401, 403, 408, 413, 429, 503),
    ),
    (
        "post",
        "/v1/top",
        "The best of all authors on the board.",
        schema.TopRequest,
        schema.TopAnswer,
        (400, 401, 403, 408, 413, 429, 503),
    ),
    (
        "post",
        "/v1/explain",
        "What carried the score of a user for one author: its parts, each left out in turn.",
        schema.ExplainRequest,
        schema.ExplainAnswer,
        (400, 401, 403, 408, 413, 429, 503),
    ),
    (
        "post",
        "/v1/segments",
        "Takes live segments; what became of each is in the answer. 409 where static items are served.",
        schema.SegmentsRequest,
        schema.SegmentsAnswer,
        (400, 401, 403, 408, 409, 413, 429, 503),
    ),
    ("get", "/", "A page: what is served, and a console.", None, None, ()),
    ("get", "/metrics", "Metrics for Prometheus.", None, None, (401,)),
    ("get", "/openapi.json", "This description.", None, None, (401,)),
    ("get", "/docs", "This description to read.", None, None, (401,)),
)
STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;overflow-wrap:anywhere}"
    "pre{background:#8881;padding:1em;white-space:pre-wrap;overflow-wrap:anywhere}"
)
MEDIA = {"/": "text/html", "/metrics": "text/plain", "/docs": "text/html"}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    kinds = [kind for route in ROUTES for kind in route[3:5] if kind is not None] + [schema.Error]
    found, components = msgspec.json.schema_components(
        list(dict.fromkeys(kinds)), ref_template="#/components/schemas/{name}"
    )
    refs = dict(zip(dict.fromkeys(kinds), found, strict=True))
    paths: dict[str, Any] = {}
    for method, path, summary, asked, answered, errors in ROUTES:
        media = MEDIA.get(path, "application/json")
        content = {media: {"schema": refs[answered] if answered else {}}}
        responses: dict[str, Any] = {"200": {"description": "OK", "content": content}}
        for status in errors:
            error = refs[schema.Error if answered is not schema.Health else schema.Health]
            responses[str(status)] = {
                "description": "Refused",
                "content": {"application/json": {"schema": error}},
            }
        operation: dict[str, Any] = {"summary": summary, "responses": responses}
        if asked is not None:
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": refs[asked]}},
            }
        if 401 in errors:
            operation["security"] = [{"token": []}, {}]
        paths[path] = {method: operation}
    info = {"title": "MMBee", "version": "1", "description": "Gift-through rates of users for live authors."}
    token = {"type": "http", "scheme": "bearer", "description": "where the service was started with a token"}
    parts = {"schemas": components, "securitySchemes": {"token": token}}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": parts}


@cache
def page() -> str:
    """The document as one HTML page."""
    content = document()
    parts = []
    for path, methods in content["paths"].items():
        for method, operation in methods.items():
            parts.append(
                f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{html.escape(operation['summary'])}</p>"
            )
            body = operation.get("requestBody")
            shown = {"body": body["content"]["application/json"]["schema"]} if body else {}
            for status, response in operation["responses"].items():
                shown[status] = next(iter(response["content"].values()))["schema"]
            parts.append(f"<ul>{''.join(_line(name, one) for name, one in shown.items())}</ul>")
    for name, one in content["components"]["schemas"].items():
        text = html.escape(json.dumps(one, indent=1, ensure_ascii=False))
        parts.append(f'<h3 id="{name}">{name}</h3><pre>{text}</pre>')
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1"><link rel=icon href="data:,">'
        f"<title>MMBee</title><style>{STYLE}</style>"
        f"<h1>MMBee</h1><p>{content['info']['description']}</p>{''.join(parts)}</html>"
    )


def _line(name: str, kind: dict[str, Any]) -> str:
    target = kind.get("$ref", "").rpartition("/")[2]
    return (
        f'<li>{html.escape(name)}: <a href="#{target}">{target}</a></li>'
        if target
        else f"<li>{html.escape(name)}</li>"
    )
