"""A tiny live dataset folder, written file by file as docs/data-formats.md has it, a model on it, and a browser."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DAY, START = 86_400, 1_700_006_400
TASKS = ("comment", "long_watch")
SIZES = {"train": 600, "valid": 120, "test": 120}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PERIODS = {"train": (0, 6), "valid": (6, 7), "test": (7, 8)}


@pytest.fixture
def live_path(live_template: Path, tmp_path: Path) -> Path:
    """A copy of its own of the tiny live folder, `datasets/tinylive`."""
    return Path(shutil.copytree(live_template, tmp_path / "datasets" / live_template.name))


@pytest.fixture(scope="session")
def live_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny live folder, not to be written to.

    40 users, 8 authors of whom two have no segments, and a room an author and day of 12 segments each. A gift is more
    likely where the user likes the author and where the newest segment's visual is large.
    """
    name = "tinylive"
    folder = tmp_path_factory.mktemp("live") / name
    folder.mkdir()
    rng = np.random.default_rng(3)
    users = [f"u{number}" for number in rng.permutation(40)]
    authors = [f"a{number}" for number in rng.permutation(8)]
    rooms = [(author, START + day * DAY + 3600 * (author + 1)) for author in range(6) for day in range(8)]
    author, start = (np.array([(author, room + 30 * part) for author, room in rooms for part in range(12)])).T
    features = {
        "visual": rng.normal(2, 3, (len(author), 3, 4)).astype(np.float16),
        "speech": rng.normal(-1, 0.5, (len(author), 3)).astype(np.float16),
        "comment": rng.normal(size=(len(author), 2)).astype(np.float16),
    }
    silent = rng.random(len(author)) < 0.3
    features["comment"][silent] = 0
    for modality, values in features.items():
        np.save(folder / f"{modality}.npy", values)
    np.save(folder / "comment.present.npy", ~silent)
    _table(
        folder / f"{name}.segment",
        ["segment_id:token", "author_id:token", "start:float"],
        [[f"s{row}", authors[author[row]], int(start[row])] for row in range(len(author))],
    )
    _table(folder / f"{name}.user", ["user_id:token"], [[user] for user in users])
    kinds = ["music", "games"]
    categories = [[token, kinds[row % 2]] for row, token in enumerate(authors)]
    _table(folder / f"{name}.item", ["item_id:token", "category:token"], categories)
    taste = rng.normal(size=(40, 8))
    columns = ["label", "amount", *TASKS, "segment"]
    header = ["user_id:token", "item_id:token", "timestamp:float", *(f"{one}:float" for one in columns)]
    for split, size in SIZES.items():
        rows = []
        for _ in range(size):
            user, item = int(rng.integers(40)), int(rng.integers(8))
            own = np.flatnonzero(author == item)
            low, high = (START + DAY * day for day in PERIODS[split])
            own = own[(start[own] >= low) & (start[own] < high)]
            segment = int(rng.choice(own)) if len(own) else -1
            moment = start[segment] + int(rng.integers(30)) if len(own) else int(rng.integers(low, high))
            shown = features["visual"][segment].astype(float).mean() - 2 if len(own) else 0.0
            label = int(rng.random() < 1 / (1 + np.exp(-(2 * taste[user, item] + 1.5 * shown - 0.5))))
            amount = round(float(rng.lognormal()), 2) + 0.01 if label else 0
            tasks = [int(rng.integers(2)), int(rng.integers(-1, 2))]
            rows.append([users[user], authors[item], moment, label, amount, *tasks, segment])
        _table(folder / f"{name}.{split}.inter", header, sorted(rows, key=lambda row: row[2]))
    description = {
        "name": name,
        "kind": "simulated",
        "source": "made by a test",
        "ordered": True,
        "splits": list(SIZES),
        "counts": {"users": 40, "items": 8, "interactions": sum(SIZES.values()), **SIZES},
        "segments": {"count": len(author), "seconds": 30, "per_sample": 20},
        "tasks": list(TASKS),
        "modalities": {
            modality: {
                "file": f"{modality}.npy",
                "kind": "dense",
                "width": values.shape[-1],
                "missing": int(silent.sum()) if modality == "comment" else 0,
                "of": "segment",
                **({"frames": 3} if values.ndim == 3 else {}),
            }
            for modality, values in features.items()
        },
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def live_checkpoint(live_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A function that saves an untrained MMBee on the tiny live folder, see `untrained`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    return lambda **given: untrained(live_path, tmp_path, **given)


@pytest.fixture(scope="session")
def untrained_checkpoint() -> Callable[..., Path]:
    """The function `untrained`, for fixtures that live longer than a test."""
    return untrained


def untrained(folder: Path, place: Path, **given: Any) -> Path:
    """Saves an untrained MMBee on a dataset folder, of weights so large that all parts matter, in ``place``."""
    import torch
    from recbole.data import data_preparation
    from recbole.utils import get_model

    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.recbole.run import build_config, seeded_dataset
    from mmbee_plugin.recbole.training import checkpoint

    small = {"embedding_size": 8, "gpu_id": "", "show_progress": False, "graphcl": {"epochs": 1}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("sys.argv", ["pytest"])
        config = build_config("MMBee", DatasetFolder(folder), {**small, **given})
        train = data_preparation(config, seeded_dataset(config))[0].dataset
        model = get_model("MMBee")(config, train)
    with torch.no_grad():
        for weight in (one for one in model.parameters() if one.dim() > 1):
            weight.copy_(torch.randn(weight.shape) / weight.shape[-1] ** 0.5)
    path = place / "model.pth"
    checkpoint.save({"config": config, "state_dict": model.state_dict()}, path)
    return path


def _table(path: Path, header: list[str], rows: list[list[object]]) -> None:
    lines = ["\t".join(header), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


class Browser:
    """Chromium without a window, driven by its DevTools protocol over a pipe: JSON between NUL bytes."""

    FLAGS = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe"
    )

    def __init__(self, program: str, folder: Path) -> None:
        there, self._answers = os.pipe(), os.pipe()
        self._requests = there[1]
        # The browser reads descriptor 3 and writes to 4; the shell puts them there.
        command = (
            f'exec "$0" {self.FLAGS} --user-data-dir="$1" about:blank 3<&{there[0]} 4>&{self._answers[1]}'
        )
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(there[0], self._answers[1]),
        )
        os.close(there[0])
        os.close(self._answers[1])
        self._session: str | None = None
        self._count, self._read, self.events = 0, b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """The result of a method; events that come meanwhile are kept in ``events``."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": given}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while (found := self._next(90)).get("id") != self._count:
            self.events.append(found)
        assert "error" not in found, found
        return found["result"]

    def _next(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            assert select.select([self._answers[0]], [], [], seconds)[0], "the browser does not answer"
            part = os.read(self._answers[0], 1 << 20)
            assert part, "the browser has ended"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def open(self, url: str, width: int = 1100, height: int = 800, dark: bool = False) -> None:
        """A page of its own at an address; what the page before it has still to say is dropped."""
        self._go("about:blank")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._go(url)

    def _go(self, url: str) -> None:
        """Leaves the page for an address and waits until that is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(one["method"] == "Page.loadEventFired" for one in self.events):
            self.events.append(self._next(90))

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < end, f"never: {script}\n{self.text()}"
            time.sleep(0.05)

    def text(self, selector: str = "body") -> str:
        """What a reader sees of an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def press(self, *keys: str) -> None:
        """Presses keys by name, or types a text."""
        codes = {"Tab": 9, "Enter": 13, "ArrowDown": 40, " ": 32}
        for key in keys:
            if key not in codes:
                self.call("Input.insertText", text=key)
                continue
            text = {"Enter": "\r", " ": " "}.get(key, "")
            given = {"key": key, "windowsVirtualKeyCode": codes[key], "code": key}
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
            self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def picture(self, path: Path) -> None:
        """Writes a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def requested(self) -> list[str]:
        """Addresses that the page asked for, without data that it has in itself."""
        self.run("1")  # for the events until now
        sent = (one["params"] for one in self.events if one["method"] == "Network.requestWillBeSent")
        return [one["request"]["url"] for one in sent if not one["request"]["url"].startswith("data:")]

    def complaints(self) -> list[str]:
        """Errors of scripts, and what the page's policy has kept from it."""
        self.run("1")
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(one["params"]) for one in self.events if one["method"] in kinds]

    def close(self) -> None:
        """Ends the browser."""
        os.close(self._requests)  # its end of the pipe; it ends itself
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        os.close(self._answers[0])


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Skips the test where no Chromium is installed."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    found = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield found
    found.close()


@pytest.fixture
def check_report(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """A function that holds a report to the rules of all, and in Chromium where there is one; returns its HTML."""

    def check(path: Path) -> str:
        page = path.read_text()
        assert len(page) < 1_500_000
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page), "a report needs no other file"
        assert re.search(
            r'<body><header><h1>[^<]+</h1><p class="verdict[^>]*>[^<]+\.</p></header><aside ', page
        )
        for figure in re.findall("<figure>.*?</figure>", page, re.DOTALL):
            assert re.match(r'<figure><figcaption id="[^"]+">[^<]{40,}</figcaption>', figure)
            panels = re.findall(r'<div class="plot" role="img" aria-label="([^"]*)"[^>]*>', figure)
            drawn = re.findall(r'<script type="application/json">(.*?)</script>', figure, re.DOTALL)
            assert len(panels) == len(drawn) > 0 and all(panels)
            for layout in (json.loads(one)["layout"] for one in drawn):
                assert not layout.get("title") and not layout["showlegend"]
                for name, axis in layout.items():
                    shared = axis.get("matches") if name.startswith("xaxis") else None
                    if name.startswith(("xaxis", "yaxis")) and not shared:
                        titled = axis.get("title", {}).get("text") or axis.get("type") == "category"
                        assert titled, f"{path.name}: {panels}, {name} has no title"
        if any(map(shutil.which, BROWSERS)):
            _check_in(request.getfixturevalue("browser"), path)
        return page

    return check


@pytest.fixture
def check_answer(check_report: Callable[[Path], str], tmp_path: Path) -> Callable[..., str]:
    """The same for what a study found, its verdict, sheet and plot: writes the page."""

    def check(said: str, sheet: Any, plot: Any) -> str:
        from mmbee_plugin.experiments.page import write_page
        from mmbee_plugin.experiments.verdict import framed

        path = tmp_path / "answer.html"
        write_page(path, sheet.title, framed(said, "real"), [sheet], [plot], ["Data: made by a test"], True)
        return check_report(path)

    return check


@pytest.fixture(scope="session")
def killed_child() -> Callable[..., bool]:
    """Runs work in a process of its own that is killed; whether it was killed before it had ended.

    Args:
        calls, nth: kills itself instead of the n-th of these calls of `os`.
        seconds: or it is killed from outside after so long.
    """

    def killed(
        work: Callable[[], object],
        calls: Sequence[str] = (),
        nth: int | None = None,
        seconds: float | None = None,
    ) -> bool:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if nth is not None:
                    _die_at(calls, nth)
                work()
                status = 0
            finally:
                os._exit(status)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        ended = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
        return os.WIFSIGNALED(ended)

    return killed


def _die_at(calls: Sequence[str], nth: int) -> None:
    left = [nth]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return wrapped

    for name in calls:
        setattr(os, name, counted(getattr(os, name)))


PAPER = 1032, 703
"""A4 across without its margins, in pixels"""
OFF = """[...document.querySelectorAll('.plot text, .plot svg, h1, h2, p, li')].filter(one => {
  const at = one.getBoundingClientRect();
  return at.width && (at.left < 0 || at.right > innerWidth + 1) }).map(one => one.textContent).slice(0, 5)"""
OVERLAPPING = """[...document.querySelectorAll('.plot')].flatMap(plot => {
  const turned = one => /rotate\\(-?[1-9]/.test(one.getAttribute('transform') || '');
  const texts = [...plot.querySelectorAll('.xtick text, .ytick text, .y2tick text, .xtitle, .ytitle, .y2title')]
    .filter(one => one.textContent.trim() && !turned(one));
  const at = texts.map(one => one.getBoundingClientRect());
  return at.flatMap((one, first) => at.slice(first + 1).flatMap((other, more) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 2 &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 3 ?
    [`${texts[first].textContent} / ${texts[first + 1 + more].textContent}`] : [])) }).slice(0, 5)"""
SQUEEZED = """[...document.querySelectorAll('.plot')].filter(plot => {
  const whole = plot._fullLayout;
  return whole._size.w < 0.5 * whole.width }).map(plot => plot.getAttribute('aria-label'))"""
UNPRINTED = """[...document.querySelectorAll('.panel')].filter(panel => {
  const drawn = panel.querySelector('.main-svg').getBoundingClientRect(), at = panel.getBoundingClientRect();
  const bars = panel.querySelector('.plot').data.some(trace => trace.orientation === 'h');
  return drawn.right > at.right + 1 || (drawn.height > 600 && !bars) }).map(panel => panel.innerText)"""


def _check_in(browser: Browser, path: Path) -> None:
    """All plots are drawn, and nothing is off the page, overlaps or is squeezed on a desktop, a phone or paper."""
    for width in (1250, 390):
        browser.open(path.absolute().as_uri(), width)
        browser.wait("!document.querySelector('.plot:not(.js-plotly-plot)')", 90)
        assert browser.complaints() == []
        assert browser.run("document.documentElement.scrollWidth") <= width
        for wrong in (OFF, OVERLAPPING, SQUEEZED):
            assert browser.run(wrong) == [], f"{path.name} at {width}"
    browser.open(path.absolute().as_uri(), *PAPER)
    browser.wait("!document.querySelector('.plot:not(.js-plotly-plot)')", 90)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.wait("matchMedia('print').matches")
    assert browser.run("document.documentElement.scrollWidth") <= PAPER[0]
    for wrong in (OFF, OVERLAPPING, UNPRINTED):
        assert browser.run(wrong) == [], f"{path.name} on paper"
