"""A service with live authors on its board, which the tests of a file share, and a headless browser."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        while (found := self._next(30)).get("id") != self._count:
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
        """A page of its own at an address."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        while not any(one["method"] == "Page.loadEventFired" for one in self.events):
            self.events.append(self._next(30))

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
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    found = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield found
    found.close()
