"""`mmbee demo` from an empty folder: it makes a model, its pages, its card and a service with authors on the air."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from mmbee_plugin.demo.folder import Demo
from mmbee_plugin.demo.making import make
from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.client import Client

ROOT = Path(__file__).parents[3]
FIGURES = re.compile(r"[\d,.]*\d")


def test_from_nothing_to_pages_and_console(tmp_path, request):
    process = subprocess.Popen(
        [sys.executable, "-m", "mmbee_plugin.cli", "demo", "--port=0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("open "):
                break
        else:
            pytest.fail("".join(printed))
        index = line.split()[1]
        url = index.removesuffix("/pages/")
        with urllib.request.urlopen(index) as answer:
            links = re.findall(r'href="([\w.]+\.html)"', answer.read().decode())
        assert {"explain.html", "diagnose.html", "room.html", "card.html"} == set(links)
        client = Client(url)
        best = client.top(client.model()["example"], 20)
        assert len(best["authors"]) == 20 and len(set(best["scores"]["gift"])) > 10
        made = Demo(tmp_path / "demo")
        card, shown = made.card.read_text(), (ROOT / "docs" / "model-card.md").read_text()
        assert FIGURES.sub("", card).split() == FIGURES.sub("", shown).split()
        test = re.search(r"\| test +\| MMBee.*?\| +(0\.\d+) \[(0\.\d+), (0\.\d+)\] \|$", card, re.MULTILINE)
        assert test is not None and 0.5 < float(test[2]) < float(test[1]) < float(test[3])
        told: list[str] = []
        make(Demo(tmp_path / "demo"), told.append)
        assert told == [], "what stands is made again"
        look(request.getfixturevalue("browser"), url, index, links)  # skips without a browser
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=60)[0]
        assert process.returncode == 0 and rest.strip() == "ended"


def look(browser, url, index, links):
    """Every page draws its plots within the width of a phone, and the console has scores."""
    for page in ["", *links]:
        browser.open(index + page, width=390)
        browser.wait(
            "[...document.querySelectorAll('.plot')].every(one => one.querySelector('.main-svg'))", 60
        )
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), page
        assert browser.complaints() == [], page
    browser.open(url)
    browser.wait("!document.getElementById('console').hidden", 60)
    browser.run("document.getElementById('ask').requestSubmit()")
    browser.wait("document.querySelectorAll('#ranked tbody tr').length === 20", 60)


def test_a_folder_of_something_else_stays(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        make(Demo(tmp_path), print)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]
