"""A service with live authors on its board, which the tests of a file share."""

from __future__ import annotations

import pytest

from mmbee_plugin.serving.service.limits import Limits


@pytest.fixture(scope="module")
def shelf(templates):
    from mmbee_plugin.serving.bundle.shelf import Shelf

    return Shelf(templates["live"][1])


@pytest.fixture(scope="module")
def source(templates):
    return templates["live"][0]


@pytest.fixture(scope="module")
def running(shelf, source, run_service):
    with run_service(shelf, limits=Limits(candidates=100, body=20_000, seconds=60)) as running:
        running.post_stored(source)
        yield running
