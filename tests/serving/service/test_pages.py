"""Reports beside the console: the HTML files of a folder, by name, and nothing else of it."""

from __future__ import annotations

import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.service.app import Limits
from mmbee_plugin.serving.service.run import Where, serve


@pytest.fixture
def pages(tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "index.html").write_text("<p>all of them")
    (folder / "day 1.html").write_text("<p>the first")
    (folder / "secret.txt").write_text("not a page")
    (tmp_path / "above.html").write_text("not in the folder")
    return folder


def test_pages_by_name(shelf, run_service, pages):
    with run_service(shelf, pages=pages) as running:
        asked = {"": 200, "index.html": 200, "day%201.html": 200, "secret.txt": 404, "../above.html": 404}
        assert {name: running.raw(f"/pages/{name}", None, "GET")[0] for name in asked} == asked
        assert running.raw("/pages/", None, "GET")[1] == b"<p>all of them"
        assert running.raw("/pages/day%201.html", None, "GET")[1] == b"<p>the first"
        assert running.raw("/pages/index.html", b"", "POST")[0] == 405


def test_the_token_guards_them(shelf, run_service, pages):
    with run_service(shelf, token="secret", pages=pages) as running:
        assert running.raw("/pages/", None, "GET")[0] == 401
        assert running.raw("/pages/", None, "GET", Authorization="Bearer secret")[0] == 200


def test_a_missing_folder(shelf, tmp_path):
    with pytest.raises(InputError, match=r"--pages .*: no such folder"):
        serve(Where(shelf.path, pages=tmp_path / "none"), Limits(), print)
