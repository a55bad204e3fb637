"""Figure 6, right: requests are sent when they are due, and times count from then."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("msgspec", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

from mmbee_plugin.errors import InputError
from mmbee_plugin.figures import day, load, services
from mmbee_plugin.figures.random_source import RandomSource
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf


def test_arrivals_follow_the_rates_and_the_turns():
    rates = np.array([400.0, 50.0, 0.0, 200.0])
    found = load.day_of_arrivals(rates, 10, 0.5, 2)
    counts = np.bincount(found.hour, minlength=4)
    assert (np.abs(counts - 10 * rates) <= 5 * np.sqrt(10 * rates)).all()
    assert (np.diff(found.due) >= 0).all() and (found.due // 10 == found.hour).all()
    np.testing.assert_array_equal(found.side, (found.due // 0.5) % 2)
    assert abs(found.side[found.hour == 0].mean() - 0.5) < 0.05
    np.testing.assert_array_equal(found.due, load.day_of_arrivals(rates, 10, 0.5, 2).due)


@pytest.fixture
def slow_service():
    """Answers one request after the other, the first after .3 s: ``busy`` with 503, ``part`` without a score."""
    taken = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            taken.append(body)
            time.sleep(0.3 if len(taken) == 1 else 0)
            content = b'{"missing":{"a":"gone"}}' if body == "part" else b'{"missing":{}}'
            self.send_response(503 if body == "busy" else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True  # for the next connection to be served

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "http://127.0.0.1:{}".format(*server.server_address[1:]), taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_service_that_falls_behind_shows_in_all_that_was_due_meanwhile(slow_service):
    url, taken = slow_service
    due = np.array([0.0, 0.05, 0.1, 0.15])
    arrivals = load.Arrivals(due, np.zeros(4, np.int64), np.zeros(4, np.int64))
    found = load.run_load([url], arrivals, [[b"good", b"busy", b"part"]])
    assert sorted(taken) == ["busy", "good", "good", "part"]
    assert (
        found.milliseconds >= 300 - 1000 * due
    ).all()  # a client that waited would have seen one slow answer
    assert found.status.tolist() == [200, 503, 200, 200] and found.whole.tolist() == [True, True, False, True]
    with pytest.raises(InputError, match="a service is gone"):
        load.run_load(["http://127.0.0.1:9"], arrivals, [[b"good"]])


def test_the_table_has_the_quantiles_of_each_hour_and_side(check_answer):
    hour = np.repeat([0, 1], [400, 20])
    side = np.tile([0, 1], 210)
    arrivals = load.Arrivals(np.arange(420.0), hour, side)
    times = np.where(side == 0, 1.0, 2.0) + np.where(np.arange(420) % 50 < 2, 100.0, 0.0)
    status = np.where(np.arange(420) == 7, 429, 200)
    answered = load.Answered(times, np.full(420, 0.5), status, np.full(420, True))
    said, sheet, plot = day.day_figure(
        day.Day(arrivals, answered, np.array([40.0, 2.0]), np.array([0.42, 0.63])), 7, 9
    )
    check_answer(said, sheet, plot)
    assert "SIM 2.00 ms, MMBee 3.00 ms" in sheet.notes[2]
    assert [row[0] for row in sheet.rows] == ["00", "01", "day"]
    first = dict(zip(sheet.headings, sheet.rows[0], strict=True))
    assert (first["SIM requests"], first["MMBee requests"], first["refused"]) == ("200", "199", "1")
    assert (first["SIM p50"], first["SIM p99"], first["MMBee p50"]) == ("1.00", "101.00", "2.00")
    assert first["p50 MMBee - SIM"] == "+1.00" and first["a second"] == "40.0"
    second = dict(zip(sheet.headings, sheet.rows[1], strict=True))
    assert second["SIM p99"] == second["MMBee p99"] == "-" and second["SIM requests"] == "10"
    assert "held up" not in " ".join(sheet.notes)
    held_up = replace(answered, late=np.full(420, 50.0))
    said, sheet, _ = day.day_figure(day.Day(arrivals, held_up, np.array([40.0, 2.0]), np.ones(2)), 7, 9)
    assert "do not trust them" in sheet.notes[-1] and said.startswith("other work on the machine")
    assert [trace.name for trace in plot.figure.data][1:] == ["SIM p50", "SIM p99", "MMBee p50", "MMBee p99"]


def test_a_day_through_the_service(tmp_path, monkeypatch):
    monkeypatch.setattr(day, "WARM_UP", 0.5)
    monkeypatch.setattr(services, "PERIOD", 0.2)
    monkeypatch.setenv("MMBEE_TOKEN", "which the requests do not bear")
    shelf = Shelf(tmp_path / "bundles")
    shelf.publish(build_bundle(RandomSource(100, 2000, True), shelf))
    with services.Served(shelf.path) as served:
        bodies = services.score_bodies(served, served.sample("authors", 30, 0), 10, 4)
        assert all(len(set(json.loads(body)["authors"])) == 10 for body in bodies)
        found = day.measure([served, served], np.array([20.0, 5.0]), 1, 10, 30)
        with pytest.raises(InputError, match="30 authors are on the air, 31 are asked for"):
            day.measure([served, served], np.array([20.0]), 1, 31, 30)
    assert (found.answered.status == 200).all() and found.answered.whole.all()
    assert set(found.arrivals.side) == {0, 1} and (found.answered.milliseconds > 0).all()
    assert (found.processor > 0).all()
    with pytest.raises(InputError, match="no bundle is published"):
        services.Served(tmp_path)
    monkeypatch.setattr(services.sys, "executable", "false")
    with pytest.raises(InputError, match=r"is not served \(it ended at once\)"), services.Served(shelf.path):
        pass


def test_a_service_ends_with_what_started_it_even_if_that_is_killed(tmp_path):
    shelf = Shelf(tmp_path / "bundles")
    shelf.publish(build_bundle(RandomSource(10, 10, False), shelf))
    script = (
        "import sys, time; from pathlib import Path; from mmbee_plugin.figures.services import Served\n"
        "with Served(Path(sys.argv[1])) as served:\n"
        "    print(served._process.pid, served.worker(), flush=True); time.sleep(99)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(shelf.path)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pids = starter.stdout.readline().split()
    starter.kill()
    starter.wait()
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        assert len(pids) == 2 and time.monotonic() < until
        time.sleep(0.05)
