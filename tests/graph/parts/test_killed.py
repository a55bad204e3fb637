"""Parts, merges and drivers that are killed, full disks, torn files: the same command ends with the same files."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked
from mmbee_plugin.graph import files
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.parts.folder import Parts, make_block
from mmbee_plugin.graph.parts.merge import merge
from mmbee_plugin.graph.parts.part import make_part
from mmbee_plugin.graph.parts.workers import build_by_workers
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot

CALLS = ("replace", "mkdir", "fsync", "link", "unlink", "rmdir")
"""what changes the disk"""


def test_parts_killed_at_random_calls(killed_child, tmp_path, inputs_of, whole, contents):
    inputs, root, rng = inputs_of(), tmp_path / "parts", np.random.default_rng(0)

    def part(number):
        make_part(Parts.create(inputs, root, 3), number)

    killed = 0
    for number in rng.permutation(3):
        while killed_child(lambda number=number: part(number), CALLS, rng.integers(1, 150)):
            killed += 1
    assert killed > 3
    assert contents(merge(inputs, root)) == whole(inputs)


def test_a_merge_killed_at_each_call(killed_child, tmp_path, inputs_of, whole, contents):
    inputs, root = inputs_of(), tmp_path / "parts"
    for number in range(2):
        make_part(Parts.create(inputs, root, 2), number)
    calls = 1
    while killed_child(lambda: merge(inputs, root), CALLS, calls):
        calls += 7
    assert calls > 50
    assert contents(merge(inputs, root)) == whole(inputs)
    assert not list(root.glob("*.parts-*"))


def test_killed_workers_are_one_line_and_the_next_run_goes_on(tmp_path, inputs_of, whole, contents):
    inputs, root = inputs_of(), tmp_path / "parts"
    parts = Parts.create(inputs, root, 2)

    def kill_when_waiting(stage):
        if "similar: waits for part 1" in stage:
            for process in multiprocessing.active_children():
                process.kill()

    # No worker goes beyond a block that another process holds.
    with locked(parts.lock_of_block("similar", 0)), pytest.raises(InputError) as caught:
        build_by_workers(inputs, root, kill_when_waiting, workers=2)
    assert str(caught.value).startswith("part 1 of 2 was ended by SIGKILL") and "\n" not in str(caught.value)
    assert os.listdir(root) == [parts.path.name] and not parts.missing("triangles")
    assert contents(build_by_workers(inputs, root, workers=2)) == whole(inputs)
    assert os.listdir(root) == [inputs.key]


DRIVER = """
import sys
from pathlib import Path
import numpy as np
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.workers import build_by_workers
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    gifts = Interactions(rng.integers(0, 3000, 20000), rng.integers(0, 500, 20000), None, 3000, 500)
    inputs = Inputs(gifts, GraphSettings(folds=2))
    print(build_by_workers(inputs, Path(sys.argv[1]), print, workers=3).path, flush=True)
"""


def test_a_killed_driver_ends_its_workers_and_the_same_command_goes_on(tmp_path, contents):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)

    def start(root):
        command = [sys.executable, "-u", str(script), str(tmp_path / root)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    for lines in (3, 20):
        driver = start("parts")
        for _ in range(lines):
            driver.stdout.readline()
        driver.kill()
        driver.stdout.read()  # ends when the workers, which hold the pipe too, have ended
        assert driver.wait() == -signal.SIGKILL
    found = Snapshot.open(start("parts").communicate()[0].splitlines()[-1])
    rng = np.random.default_rng(0)
    gifts = Interactions(rng.integers(0, 3000, 20000), rng.integers(0, 500, 20000), None, 3000, 500)
    assert contents(found) == contents(build(gifts, GraphSettings(folds=2), tmp_path / "whole"))


def test_a_full_disk_is_one_line_and_tears_nothing(tmp_path, monkeypatch, inputs_of, whole, contents):
    inputs, root = inputs_of(), tmp_path / "parts"
    plain, left = files._write, [0]

    def full(file, arrays):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(file, arrays)

    monkeypatch.setattr(files, "_write", full)
    failed = 0
    for call in range(1, 200, 6):
        left[0] = call
        try:
            make_part(Parts.create(inputs, root, 1), 0)
            merge(inputs, root)
            break
        except InputError as error:
            assert "No space left on device" in str(error) and "\n" not in str(error)
            assert not [path for path in root.rglob("*") if ".writing-" in path.name]
            failed += 1
    assert failed > 5
    left[0] = 0
    assert contents(merge(inputs, root)) == whole(inputs)


def test_a_torn_block_is_removed_and_made_again(tmp_path, inputs_of, whole, contents):
    inputs, root = inputs_of(), tmp_path / "parts"
    parts = Parts.create(inputs, root, 2)
    make_part(parts, 0)
    torn = parts.path / "lists-u" / "block-0" / "entries.npy"
    torn.write_bytes(torn.read_bytes()[:-1])
    make_part(parts, 1)
    with pytest.raises(InputError, match=r"entries\.npy: \d+ bytes, expected \d+; it was removed") as caught:
        merge(inputs, root)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"part 1 of 2 is not made; .* --parts=2 --part=1 makes it"):
        merge(inputs, root)
    make_part(Parts.open(parts.path), 0)
    assert contents(merge(inputs, root)) == whole(inputs)


@pytest.mark.parametrize(
    "state", ["gifts/plan", "similar/joined", "product-row-a2u-u2a/joined", "content/joined"]
)
def test_a_torn_plan_or_join_is_made_again(tmp_path, inputs_of, whole, contents, state):
    inputs, root = inputs_of(), tmp_path / "parts"
    parts = Parts.create(inputs, root, 2)
    make_part(parts, 0)
    torn = max((parts.path / state).glob("*.npy"), key=lambda path: path.stat().st_size)
    torn.write_bytes(torn.read_bytes()[:-1])
    make_part(Parts.open(parts.path), 1)
    assert contents(merge(inputs, root)) == whole(inputs)


def test_one_part_at_a_time(tmp_path, inputs_of):
    parts = Parts.create(inputs_of(), tmp_path, 2)
    with (
        locked(parts.path / "locks" / "part-1"),
        pytest.raises(InputError, match=r"part 2 of 2 is being made by another process"),
    ):
        make_part(parts, 1)


def test_parts_of_other_numbers_or_settings_are_not_mixed(tmp_path, inputs_of, whole, contents):
    inputs, other = inputs_of(), inputs_of(top_k=3)
    two = Parts.create(inputs, tmp_path / "parts", 2)
    make_part(two, 0)
    with pytest.raises(InputError, match=r"part 2 of 2 is not made"):
        merge(inputs, tmp_path / "parts")
    with pytest.raises(InputError, match=rf"no parts of {inputs.key}; there are {two.path.name}, of other"):
        merge(inputs, tmp_path / "parts", n_parts=3)
    with pytest.raises(InputError, match=rf"no parts of {other.key}; there are {two.path.name}, of other"):
        merge(other, tmp_path / "parts")
    with pytest.raises(InputError, match=r": no parts of \w+$"):
        merge(inputs, tmp_path / "empty")
    three = Parts.create(inputs, tmp_path / "parts", 3)
    for part in range(3):
        make_part(three, part)
    assert contents(merge(inputs, tmp_path / "parts")) == whole(inputs)
    assert not two.path.exists() and not three.path.exists()


def test_a_refresh_is_made_in_one_process(tmp_path, inputs_of):
    with pytest.raises(InputError, match=r"graph\.refresh_from: a refresh is made by one process"):
        Parts.create(replace(inputs_of(), refresh=object()), tmp_path, 2)
    assert not os.listdir(tmp_path)


def test_folders_of_another_version_and_unknown_steps(tmp_path, inputs_of):
    parts = Parts.create(inputs_of(), tmp_path, 2)
    with pytest.raises(InputError, match="no step 'lists'; steps are gifts, triangles"):
        make_block(parts.path, "lists", 0)
    parts.prepare("gifts")
    parts.prepare("triangles")
    with pytest.raises(InputError, match=r"block 2 is out of range, expected 0\.\.1"):
        make_block(parts.path, "triangles", 2)
    with pytest.raises(InputError, match="triangles lacks part 1, 2 of 2"):
        parts.prepare("similar")
    facts = parts.path / "given" / "facts.json"
    facts.write_text(facts.read_text().replace("parts-2", "parts-1"))
    with pytest.raises(InputError, match="schema 'mmbee-graph-parts-1', expected"):
        Parts.open(parts.path)
