"""Requests made from the OpenAPI document, valid and not: no error is unhandled, and answers are as described."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mmbee_plugin.serving.service.app import Service
from mmbee_plugin.serving.service.metrics import Metrics
from mmbee_plugin.serving.service.openapi import ROUTES

NOW = 1_700_100_000.0
EXAMPLES = settings(
    max_examples=20, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def described(running):
    return schemathesis.openapi.from_asgi("/openapi.json", Service(running.follower, Metrics()).app())


def is_as_described(case, *unchecked):
    response = case.call()
    if response.status_code == 503:  # as the document has it, of a deadline that is over
        unchecked = *unchecked, not_a_server_error
    case.validate_response(response, excluded_checks=list(unchecked))


@pytest.mark.parametrize(("method", "path"), [route[:2] for route in ROUTES])
def test_valid_requests(described, source, method, path):
    operation = described[path][method.upper()]
    # The document cannot say which tensors there must be.
    unchecked = [positive_data_acceptance] if path.endswith("/infer") else []

    @EXAMPLES
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), st.booleans())
    def answered(case, known):
        body = case.body if isinstance(case.body, dict) else {}
        there = {"user": source.users_of[7], "author": "a3", "authors": source.authors_of, "time": NOW}
        body |= {name: value for name, value in there.items() if known and name in body}
        if "count" in body:
            body["count"] = int(body["count"])  # JSON Schema calls 3.0 an integer
        is_as_described(case, *unchecked)

    answered()


@pytest.mark.parametrize(("method", "path"), [route[:2] for route in ROUTES if route[3]])
def test_invalid_requests(described, method, path):
    @EXAMPLES
    @given(described[path][method.upper()].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def answered(case):
        is_as_described(case)

    answered()
