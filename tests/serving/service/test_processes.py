"""`mmbee serve` as it runs: an encoder and two workers, which come and go, of one service at one port."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.client import Client, ServiceError

NOW = 1_700_100_000.0
PATIENCE = 60


class Serving:
    """A service of its own processes."""

    def __init__(self, shelf: Shelf, folder: Path, *options: str) -> None:
        self.shelf = shelf
        self.folder = folder / f"{'long ' * 30}shared"  # a socket's address is at most 107 bytes
        self.folder.mkdir()
        command = [sys.executable, "-m", "mmbee_plugin.cli", "serve", str(shelf.path), "--port=0", *options]
        self.process = subprocess.Popen(
            [*command, "--deadline=60"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(self.folder)},
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: self.lines)
        self.url = self.lines[0].removeprefix("listening at ").strip()
        until(self.is_ready)

    def is_ready(self) -> bool:
        try:
            return self.get("/v2/health/ready") is not None
        except OSError:
            return False

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as response:
            return response.read().decode()

    def client(self) -> Client:
        """A client of a connection of its own, so of any worker."""
        return Client(self.url, timeout=PATIENCE)

    def processes(self) -> dict[str, int]:
        """Name -> id of the processes below the supervisor."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in children}

    def kill(self, name: str) -> None:
        """Kills a process, and waits for the one that replaces it."""
        killed = self.processes()[name]
        os.kill(killed, signal.SIGKILL)
        until(lambda: self.processes().get(name, killed) != killed)

    def everywhere(self, what: Callable[[dict[str, Any]], bool], *asked: Any, **more: Any) -> bool:
        """Whether twenty new connections, so all workers, have an answer like that to `Client.score`."""
        try:
            return all(what(self.client().score(*asked, **more)) for _ in range(20))
        except (OSError, HTTPException, ServiceError):
            return False

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def segment(author: str, start: float, value: float) -> dict[str, Any]:
    return {"author": author, "start": start, "features": {"speech": [value, 1.0, 2.0, 3.0]}}


@pytest.fixture(scope="module")
def serving(templates: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    place = tmp_path_factory.mktemp("processes")
    (place / "parts").mkdir()
    shelf = Shelf(Path(shutil.copytree(templates["live"][1], place / "bundles")))
    options = ["--workers=2"]
    try:
        import polars  # noqa: F401
    except ImportError:
        pass
    else:
        options.append(f"--segments={place / 'parts'}")
    running = Serving(shelf, place, *options)
    yield running
    running.process.terminate()
    assert running.process.wait(PATIENCE) == 0
    assert list(running.folder.iterdir()) == []


def test_what_comes_in_at_one_worker_is_scored_by_all(serving, source):
    authors = source.authors_of[:5]
    posted = [segment(author, NOW, 1.0) for author in authors]
    assert serving.client().segments(posted)["counts"] == {"accepted": 5}
    expected = serving.client().score(source.users_of[0], authors, time=NOW)
    assert None not in expected["scores"]["gift"] and expected["flags"] == []
    assert serving.everywhere(lambda found: found == expected, source.users_of[0], authors, time=NOW)
    explained = serving.client().post(
        "/v1/explain", {"user": source.users_of[0], "author": authors[0], "time": NOW}
    )
    assert explained["scores"]["gift"] == pytest.approx(expected["scores"]["gift"][0], abs=1e-5)
    with pytest.raises(ServiceError, match="missing required field `author`") as error:
        serving.client().segments([{"start": NOW}])
    assert error.value.status == 400


def test_parts_of_the_followed_folder_are_scored_by_all(serving, source):
    pl = pytest.importorskip("polars", reason="the logs extra is not installed")
    author = source.authors_of[6]
    row = {"author_id": [author], "start": [int(1000 * NOW)], "end": [int(1000 * NOW) + 30_000]}
    kinds = {
        name: pl.Series([[0.5] * width], dtype=pl.List(pl.Float32))
        for name, width in (("visual", 10), ("speech", 4))
    }
    folder = serving.shelf.path.parent / "parts"
    pl.DataFrame({**row, **kinds}).write_parquet(folder / ".1.parquet")
    os.replace(folder / ".1.parquet", folder / "1.parquet")
    until(lambda: serving.everywhere(lambda found: not found["missing"], "u", [author], time=NOW))
    assert 'mmbee_segment_parts_total{answer="read"} 1.0' in serving.get("/metrics")


def counted(serving: Serving, what: str) -> float:
    """A value of `/metrics`, which is the same whoever answers."""
    found = re.search(rf"^{re.escape(what)} (.+)$", serving.get("/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_counters_are_those_of_all_and_outlive_their_processes(serving, source):
    name = 'mmbee_requests_total{route="score",status="200"}'
    before = counted(serving, name)
    for _ in range(20):
        serving.client().score("u", ["a0"], time=NOW)
    assert counted(serving, name) == before + 20
    serving.kill("mmbee worker 0")
    until(lambda: serving.everywhere(lambda found: True, "u", ["a0"], time=NOW))
    serving.kill("mmbee worker 1")
    until(lambda: serving.everywhere(lambda found: True, "u", ["a0"], time=NOW))
    assert counted(serving, name) >= before + 60
    assert counted(serving, 'mmbee_waiting{lane="score"}') == 0
    assert counted(serving, "mmbee_swaps_total") == 1
    assert sum("ended (SIGKILL); it starts again" in line for line in serving.lines) == 2


def test_a_killed_worker_costs_only_the_requests_that_it_had(serving, source):
    authors, failures, done = source.authors_of[:5], [], []
    expected = serving.client().score(source.users_of[0], authors, time=NOW)
    over = threading.Event()

    def ask() -> None:
        client = serving.client()
        while not over.is_set():
            try:
                if client.score(source.users_of[0], authors, time=NOW) != expected:
                    failures.append("another answer")
                done.append(1)
            except ServiceError as error:
                failures.append(error)
            except (OSError, HTTPException):  # its connection was to the one that was killed
                client = serving.client()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    serving.kill("mmbee worker 0")
    count = len(done)
    until(lambda: len(done) > count + 20)
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []  # one that starts again listens once it serves


def test_scores_go_on_without_the_encoder_and_nothing_that_it_took_is_lost(serving, source):
    authors = source.authors_of[10:15]
    client = serving.client()
    assert client.segments([segment(author, NOW, 2.0) for author in authors])["counts"] == {"accepted": 5}
    expected = client.score(source.users_of[1], authors, time=NOW)
    os.kill(serving.processes()["mmbee encoder"], signal.SIGKILL)
    for _ in range(20):
        assert client.score(source.users_of[1], authors, time=NOW) == expected
    # Who posts now waits for the next one, which has the windows of the killed one.
    later = [segment(author, NOW + 30, 3.0) for author in authors]
    until(lambda: posted(serving, later) in ({"accepted": 5}, {"duplicate": 5}))
    until(lambda: client.score(source.users_of[1], authors, time=NOW) != expected)
    after = client.score(source.users_of[1], authors, time=NOW)
    assert None not in after["scores"]["gift"]
    assert posted(serving, [segment(author, NOW, 2.0) for author in authors]) == {"duplicate": 5}


def posted(serving: Serving, segments: list[dict[str, Any]]) -> dict[str, int] | None:
    try:
        return serving.client().segments(segments)["counts"]
    except ServiceError as error:
        assert error.status == 503
        return None


def test_a_published_bundle_is_taken_by_all_with_its_authors_encoded(serving, templates, source):
    first, second = templates["live"][2]
    authors = source.authors_of[20:25]
    serving.client().segments([segment(author, NOW, 1.0) for author in authors])
    over, answers, failures = threading.Event(), {first: set(), second: set()}, []

    def ask() -> None:
        client = serving.client()
        while not over.is_set():
            try:
                found = client.score(source.users_of[2], authors, time=NOW)
                # Batches of other sizes encode authors with other last digits.
                scores = [one and round(one, 6) for one in found["scores"]["gift"]]
                answers[found["bundle"]].add(str({**found, "scores": scores}))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for bundle in (second, first, second):
        serving.shelf.publish(bundle)
        until(
            lambda wanted=bundle: serving.everywhere(
                lambda found: found["bundle"] == wanted, "u", authors, time=NOW
            )
        )
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (
        len(answers[first]) == len(answers[second]) == 1
    )  # each bundle one answer: nobody missed, nothing mixed
    assert "None" not in "".join(answers[first] | answers[second]).replace("missing", "")
    assert counted(serving, f'mmbee_bundle{{bundle="{second}"}}') == 1
    serving.shelf.publish(first)
    until(lambda: serving.everywhere(lambda found: found["bundle"] == first, "u", authors, time=NOW))


def test_a_refused_bundle_is_told_by_every_worker(serving, templates, tmp_path):
    first, second = templates["live"][2]
    golden = serving.shelf.path / second / "golden.json"
    whole = golden.read_bytes()
    serving.shelf.publish(second)  # whole when it is published
    until(lambda: serving.everywhere(lambda found: found["bundle"] == second, "u", ["a0"], time=NOW))
    serving.shelf.publish(first)
    until(lambda: serving.everywhere(lambda found: found["bundle"] == first, "u", ["a0"], time=NOW))
    golden.write_bytes(whole[:-1] + b" ")
    pointer = serving.shelf.path / "CURRENT"
    pointer.write_text(pointer.read_text().replace(first, second, 1))
    until(lambda: all(serving.client().model()["refused"] for _ in range(10)))
    assert serving.everywhere(lambda found: found["bundle"] == first, "u", ["a0"], time=NOW)
    golden.write_bytes(whole)
    serving.shelf.publish(first)
    until(lambda: all(serving.client().model()["refused"] is None for _ in range(10)))


def test_a_killed_supervisor_leaves_no_process(static_shelved, tmp_path):
    running = Serving(static_shelved.shelf, tmp_path)
    processes = running.processes()
    assert set(processes) == {"mmbee encoder", "mmbee worker 0"}
    user = static_shelved.source.users_of[0]
    assert running.client().score(user, static_shelved.source.authors_of[:3])["missing"] == {}
    with pytest.raises(ServiceError, match="nobody reads segments"):
        running.client().segments([segment("a0", NOW, 1.0)])
    running.process.kill()
    running.process.wait()
    until(lambda: not any(is_running(pid) for pid in processes.values()))


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


def test_scores_are_those_of_one_process(serving, source, run_service):
    """What workers answer is what the scorer of a service in one process does."""
    authors = source.authors_of[30:35]
    posts = [segment(author, NOW, 5.0) for author in authors]
    with run_service(serving.shelf) as running:
        running.client().segments(posts)
        serving.client().segments(posts)
        for user in source.users_of[:10]:
            one, many = (each.client().score(user, authors, time=NOW) for each in (running, serving))
            np.testing.assert_array_equal(one["scores"]["gift"], many["scores"]["gift"])
            assert one["bundle"] == many["bundle"]
