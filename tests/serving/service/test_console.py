"""The page at `/`, in a headless Chromium: what is served, scores, their parts, and what must not come through."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import urllib.request

import pytest

from mmbee_plugin.serving import scorer
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.client import ServiceError
from mmbee_plugin.serving.service.console import page

ON = "!document.getElementById('console').hidden"
HOSTILE = "<img src=x onerror=document.title='hit'>"


def put_on_air(running, authors, token=None):
    """A segment of this minute for each author."""
    values = {"visual": [[0.5] * 5, [1.5] * 5]}
    segments = [{"author": one, "start": time.time() - 20, "features": values} for one in authors]
    running.client(token=token).segments(segments)


@pytest.fixture(scope="module")
def live(shelf, source, run_service):
    with run_service(shelf) as running:
        put_on_air(running, source.authors_of[:12])
        yield running


def rows_of(browser, table):
    """Texts of a table's cells, row by row."""
    script = f"[...document.querySelectorAll('{table} tbody tr')].map(row => [...row.cells].map(one => one.innerText))"
    return [[text.strip() for text in row] for row in browser.run(script)]


def fill(browser, **fields):
    for name, value in fields.items():
        browser.run(f"document.getElementById('{name}').value = {json.dumps(value)}")


def ask(browser, user, authors=None):
    fill(browser, user=user, authors="\n".join(authors or ()))
    which = "named" if authors else "top"
    browser.run(f"document.getElementById('ask').elements.which.value = '{which}'")
    browser.run("document.getElementById('ranked').replaceChildren()")
    browser.run("document.getElementById('ask').requestSubmit()")
    browser.wait("document.querySelector('#ranked table, #ranked .wrong')")


def test_scores_and_their_parts_by_keyboard_alone(live, source, browser):
    browser.open(live.url)
    browser.wait(ON)
    assert browser.run("document.getElementById('user').value") in source.users_of
    for _ in range(10):
        browser.press("Tab")
        if browser.run("document.activeElement.id") == "user":
            break
    browser.run("document.activeElement.select()")
    user = source.users_of[3]
    browser.press(user, "Enter")
    browser.wait("document.querySelector('#ranked table')")
    best = live.client().top(user, 20)
    rows = rows_of(browser, "#ranked")
    assert [row[1] for row in rows] == best["authors"] and len(rows) == 12
    assert [float(row[2]) for row in rows] == pytest.approx(best["scores"]["gift"], rel=1e-3)
    assert "stale_bundle" in browser.text("#ranked")
    while browser.run("document.activeElement.closest('#ranked button') === null"):
        browser.press("Tab")
    browser.press("Enter")
    browser.wait("document.querySelector('#explained ul')")
    browser.wait("document.activeElement.innerText.startsWith('What carried the score')")
    browser.run("document.querySelector('#explained > div > button')?.click()")
    found = live.client().explain(user, best["authors"][0])
    shown = browser.run("[...document.querySelectorAll('.parts li')].map(one => one.innerText.split('\\n'))")
    assert len(shown) == len(found["parts"])
    for text, part in zip(shown, found["parts"], strict=True):
        assert text[0] == f"{part['kind']} {part['name']}"
        fall = part["falls"]["gift"]
        assert float(text[-1].replace("−", "-")) == pytest.approx(fall, abs=6e-4)
    room = rows_of(browser, "#explained .room")
    assert [row[0] for row in room[:3]] == ["visual", "speech", "fall without it"]
    newest = sum(query[0][-1] for query in found["room"]["attention"]) / len(found["room"]["attention"])
    assert float(room[0][-1]) == pytest.approx(100 * newest, abs=0.06)
    assert not browser.complaints()
    assert {one.removeprefix(live.url).split("?")[0] for one in browser.requested()} == {
        "/",
        "/v2/models/mmbee",
        "/metrics",
        "/v1/top",
        "/v1/explain",
    }


def test_named_authors_with_reasons_and_errors(live, source, browser):
    browser.open(live.url)
    browser.wait(ON)
    named = ["a3", "nobody", "a30", "a5"]
    ask(browser, "a stranger", named)
    scores = live.client().score("a stranger", named)["scores"]["gift"]
    first, second = ("a3", "a5") if scores[0] > scores[3] else ("a5", "a3")
    rows = rows_of(browser, "#ranked")
    assert [row[1] for row in rows] == [first, second, "nobody", "a30"]
    assert [row[2] for row in rows[2:]] == ["unknown author", "no live segment"]
    assert "cold" in browser.text("#ranked")
    ask(browser, source.users_of[0], [f"a{number}" for number in range(2001)])
    assert browser.text("#ranked") == "413: 2,001 authors, at most 2,000 are taken"


def test_figures_are_those_of_the_metrics(shelf, source, run_service, browser, monkeypatch):
    with run_service(shelf) as running:
        put_on_air(running, source.authors_of[:5])
        client = running.client()
        for _ in range(6):
            client.score(source.users_of[0], ["a0"])
        for _ in range(2):
            with pytest.raises(ServiceError):
                client.score(source.users_of[0], ["a0"], deadline_ms=1e-6)
        monkeypatch.setattr(type(running.follower), "refused", "a byte is wrong")
        browser.open(running.url)
        browser.wait(ON)
        tiles = browser.run(
            "Object.fromEntries([...document.querySelectorAll('#tiles div')].map(one => "
            "[one.querySelector('dt').innerText, one.querySelector('dd').innerText]))"
        )
        assert tiles["Shed"].startswith("25.0 %") and tiles["Degraded"].startswith("0.0 %")
        assert tiles["Requests"].startswith("8") and tiles["Board"].startswith("5 authors")
        assert "newest segment is on" in tiles["Board"]
        assert tiles["Bundle"].startswith(shelf.current().bundle[:8])
        assert tiles["Data until"].endswith("2023-11-16 02:00:00 UTC")
        assert re.match(r"[\d.]+ ms", tiles["p50"]) and re.match(r"[\d.]+ ms", tiles["p99"])
        assert rows_of(browser, "#routes")[0][-1] == "200: 6, 503: 2"
        assert browser.text("#refused-bundle") == "A newer bundle is refused: a byte is wrong"


def test_nothing_without_the_token(shelf, source, run_service, browser):
    with run_service(shelf, token="secret") as running:
        put_on_air(running, ["a3"], "secret")
        browser.open(running.url)
        browser.wait("!document.getElementById('unlock').hidden")
        assert not browser.run(ON) and shelf.current().bundle[:8] not in browser.run(
            "document.documentElement.outerHTML"
        )
        browser.press("Tab")
        browser.press("wrong", "Enter")
        browser.wait("document.getElementById('refused-token').innerText")
        assert not browser.run(ON)
        browser.press("secret", "Enter")
        browser.wait(ON)
        ask(browser, source.users_of[0])
        assert rows_of(browser, "#ranked")[0][1] == "a3"
        kept = browser.run(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
        )
        assert "secret" not in kept + browser.run("document.documentElement.outerHTML")
        assert not any("secret" in one for one in browser.requested())
        browser.open(running.url)  # a new page has forgotten it
        browser.wait("!document.getElementById('unlock').hidden")


def test_ids_are_text(tmp_path, random_source, run_service, browser, monkeypatch):
    source = random_source()
    source.users_of[:] = [f"{HOSTILE} u{number}" for number in range(len(source.users_of))]
    source.authors_of[:] = [f"{HOSTILE} a{number}" for number in range(len(source.authors_of))]
    shelf = Shelf(tmp_path)
    shelf.publish(build_bundle(source, shelf))
    with run_service(shelf) as running:
        put_on_air(running, source.authors_of)
        monkeypatch.setattr(type(running.follower), "refused", HOSTILE)
        browser.open(running.url)
        browser.wait(ON)
        user = next(user for user, length in zip(source.users_of, source._lengths, strict=True) if length > 2)
        ask(browser, user, [*source.authors_of[:3], f"{HOSTILE} gone"])
        browser.run("document.querySelector('#ranked button').click()")
        browser.wait("document.querySelector('#explained ul')")
        for place in ("#ranked", "#explained", "#refused-bundle"):
            assert HOSTILE in browser.text(place)
        assert browser.run("document.querySelectorAll('img').length") == 0
        assert browser.run("document.title") == "MMBee" and not browser.complaints()


def test_the_policy_lets_its_own_script_run_and_no_other(live, browser):
    with urllib.request.urlopen(live.url) as response:
        html, headers = response.read().decode(), response.headers
    policy = headers["Content-Security-Policy"]
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write", html)
    browser.open(live.url)
    browser.wait(ON)
    browser.run(
        "{ const added = document.createElement('script');"
        "try { added.textContent = 'window.hit = 1'; document.body.append(added); } catch {} }"
    )
    assert browser.run("window.hit === undefined")
    browser.run(
        "{ const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image); }"
    )
    assert any("Content Security Policy" in one for one in browser.complaints())


def test_pages_of_other_sites_reach_no_board(live, browser):
    """As a browser has it: a plain POST is sent to another site, whose answer alone is kept from the page."""
    sent = f"fetch('{live.url}/v1/segments', {{method: 'POST', mode: 'no-cors', body: '{{}}'}}).then(() => 1)"
    other = live.url.replace("127.0.0.1", "localhost")
    for site, status in ((live.url, "400"), (other, "403")):
        browser.open(f"{site}/docs")
        assert browser.run(sent) == 1
        count = f'mmbee_requests_total{{route="segments",status="{status}"}} 1.0'
        assert count in live.raw("/metrics", None, "GET")[1].decode()


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1200, True)])
def test_it_fits_a_phone_and_the_dark(live, source, browser, width, dark):
    browser.open(live.url, width, 800, dark)
    browser.wait(ON)
    ask(browser, source.users_of[3])
    browser.run("document.querySelector('#ranked button').click()")
    browser.wait("document.querySelector('#explained ul')")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    light = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128")
    assert light != dark


def test_every_flag_has_words():
    (words,) = re.findall(r"const FLAGS = \{(.*?)\};", page()[0], re.DOTALL)
    known = {scorer.COLD, scorer.DEGRADED, scorer.STALE_BOARD, scorer.STALE_BUNDLE}
    assert set(re.findall(r"^  (\w+):", words, re.MULTILINE)) == known


def test_the_page_is_made_once_and_needs_no_bundle(tmp_path, run_service):
    with run_service(Shelf(tmp_path)) as running:
        status, content = running.raw("/", None, "GET")
        assert status == 200 and content.decode() == page()[0]
