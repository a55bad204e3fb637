"""Bundles: whole or refused, named by what they hold, published, taken back, pinned and pruned."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.golden import replay
from mmbee_plugin.serving.bundle.shelf import Pointer, Shelf
from mmbee_plugin.serving.swap.follower import Follower


def test_the_same_model_and_data_make_the_same_bundle(random_source, tmp_path):
    first = build_bundle(random_source(3), Shelf(tmp_path / "one"))
    second = build_bundle(random_source(3), Shelf(tmp_path / "two"))
    other = build_bundle(random_source(4), Shelf(tmp_path / "two"))
    assert first == second != other
    # Built again where it stands, it stays as it is.
    stamp = (tmp_path / "one" / first / "manifest.json").stat().st_mtime_ns
    assert build_bundle(random_source(3), Shelf(tmp_path / "one")) == first
    assert (tmp_path / "one" / first / "manifest.json").stat().st_mtime_ns == stamp


def test_nothing_in_a_bundle_is_pickled(shelved):
    files = [path for path in shelved.shelf.path.rglob("*") if path.is_file() and path.suffix == ".npy"]
    assert files
    for path in files:
        assert np.load(path, allow_pickle=False) is not None
    kinds = {path.suffix for path in (shelved.shelf.path / shelved.ids[0]).rglob("*") if path.is_file()}
    assert kinds == {".npy", ".json", ".safetensors"}


def test_golden_requests_are_scored_as_offline(shelved):
    follower = Follower(shelved.shelf)
    follower.look()
    assert follower.scorer is not None and follower.refused is None
    assert follower.scorer.replay() < 1e-5


def test_few_golden_logits_may_differ_where_a_search_is_undecided(tmp_path):
    """Of 500, five: a hundredth."""
    path = tmp_path / "golden.json"
    requests = [{"user": f"u{n}", "authors": ["a"], "logits": [[float(n)]]} for n in range(500)]
    path.write_text(json.dumps({"time": None, "requests": requests}))

    def score(wrong: int):
        return lambda user, authors, time: torch.tensor([[float(user[1:]) + (int(user[1:]) < wrong)]])

    assert replay(path, score(5), undecided=0.01) == 0
    with pytest.raises(InputError, match="5 of 500 golden logits are not as offline"):
        replay(path, score(5))
    with pytest.raises(InputError, match="6 of 500"):
        replay(path, score(6), undecided=0.01)
    with pytest.raises(InputError, match="500 of 500"):
        replay(path, lambda *_: torch.tensor([[float("nan")]]), undecided=1.0)


def test_a_flipped_byte_anywhere_is_refused_and_the_old_bundle_serves(shelved):
    """One file after the other, one byte in its middle."""
    follower = Follower(shelved.shelf)
    follower.look()
    old = follower.scorer
    bundle = shelved.shelf.path / shelved.ids[1]
    (shelved.shelf.path / "CURRENT").write_text(
        json.dumps({"bundle": shelved.ids[1], "previous": [], "pinned": False})
    )
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    for path in files:
        whole = path.read_bytes()
        broken = bytearray(whole)
        broken[len(whole) // 2] ^= 1
        path.write_bytes(broken)
        follower._tried = None  # without the pause between two tries
        follower.look()
        assert follower.scorer is old
        assert (
            follower.refused is not None and "\n" not in follower.refused and str(bundle) in follower.refused
        )
        with pytest.raises(InputError):
            shelved.shelf.publish(shelved.ids[1])
        path.write_bytes(whole)
    follower._tried = None
    follower.look()
    assert follower.scorer is not old and follower.refused is None


def another_schema(folder, other) -> str:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("mmbee-bundle-1", "mmbee-bundle-9"))
    return "schema 'mmbee-bundle-9', expected 'mmbee-bundle-1'; build the bundle again"


def torn(folder, other) -> str:
    (folder / "users.npy").unlink()
    return "users.npy: No such file or directory; build the bundle again"


def of_another_snapshot(folder, other) -> str:
    shutil.copy(other / "users.npy", folder / "users.npy")  # the same shapes, other neighbours
    return "users.npy: its content is not what was built; build the bundle again"


@pytest.mark.parametrize("spoil", [another_schema, torn, of_another_snapshot])
def test_a_bundle_that_is_no_good_is_one_line_and_the_old_one_serves(shelved, spoil):
    shelf, (first, second) = shelved.shelf, shelved.ids
    follower = Follower(shelf)
    follower.look()
    shelf.publish(second)
    expected = spoil(shelf.path / second, shelf.path / first)
    follower.look()
    assert follower.scorer.bundle.id == first
    assert expected in follower.refused and "\n" not in follower.refused


@pytest.mark.parametrize("file", ["CURRENT", "manifest.json"])
def test_every_flipped_byte_of_the_small_files_is_noticed(static_shelved, file):
    shelf, bundle = static_shelved.shelf, static_shelved.ids[0]
    path = shelf.path / file if file == "CURRENT" else shelf.path / bundle / file
    whole = path.read_bytes()
    step = max(1, len(whole) // 200)
    for place in range(0, len(whole), step):
        for bit in (1, 32):
            broken = bytearray(whole)
            broken[place] ^= bit
            path.write_bytes(broken)
            if file == "CURRENT":  # it may name another bundle then, or be unreadable: none that is not there
                try:
                    pointer = shelf.current()
                except InputError:
                    continue
                assert pointer.bundle == bundle or not (shelf.path / pointer.bundle).exists()
            else:
                with pytest.raises(InputError):
                    shelf.verify(bundle)
    path.write_bytes(whole)
    shelf.verify(bundle)


@pytest.mark.parametrize("cut", ["users.npy", "dense.safetensors", "golden.json", "manifest.json"])
def test_a_cut_or_missing_file_is_one_line(static_shelved, cut):
    folder = static_shelved.shelf.path / static_shelved.ids[0]
    path = folder / cut
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=cut):
        static_shelved.shelf.verify(folder.name)
    path.unlink()
    with pytest.raises(InputError, match=f"{cut}|no such bundle"):
        static_shelved.shelf.verify(folder.name)


def test_another_schema_and_another_folder_are_refused(static_shelved):
    shelf, bundle = static_shelved.shelf, static_shelved.ids[0]
    shutil.copytree(shelf.path / bundle, shelf.path / "0123456789abcdef")
    with pytest.raises(InputError, match="not of its folder's name"):
        shelf.verify("0123456789abcdef")
    manifest = shelf.path / bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace("mmbee-bundle-1", "mmbee-bundle-9"))
    with pytest.raises(InputError, match="schema 'mmbee-bundle-9', expected 'mmbee-bundle-1'"):
        shelf.verify(bundle)


def test_publishing_rolling_back_and_pinning(static_shelved):
    shelf, (first, second) = static_shelved.shelf, static_shelved.ids
    assert shelf.publish(second).previous == (first,)
    assert shelf.rollback().bundle == first
    with pytest.raises(InputError, match="no bundle was served before"):
        shelf.rollback()
    assert shelf.pin().pinned
    with pytest.raises(InputError, match=f"{first} is pinned"):
        shelf.publish(second)
    assert shelf.publish(first).pinned
    assert not shelf.pin(on=False).pinned
    assert shelf.publish(second).bundle == second
    assert shelf.pin(first) == Pointer(first, (), pinned=True)
    assert shelf.pin(second) == Pointer(second, (first,), pinned=True)
    for moved in (shelf.rollback, lambda: shelf.rollback(first)):
        with pytest.raises(InputError, match=f"{second} is pinned"):
            moved()
    assert shelf.current().bundle == second
    with pytest.raises(InputError, match="no such bundle"):
        shelf.publish("nowhere")


@pytest.mark.parametrize("back", ["rollback", "pin", "publish"])
def test_what_was_served_since_is_taken_back(random_source, tmp_path, back):
    """By going back to an older bundle by its id: no later rollback returns to a newer one."""
    shelf = Shelf(tmp_path / "bundles")
    first, second, third, fourth = (build_bundle(random_source(seed, live=False), shelf) for seed in range(4))
    for bundle in (first, second, third):
        shelf.publish(bundle)
    pointer = getattr(shelf, back)(second)
    assert (pointer.bundle, pointer.previous) == (second, (first,))
    shelf.pin(on=False)
    assert shelf.publish(fourth).previous == (first, second)
    with pytest.raises(InputError, match=f"{third} was not served before this one; mmbee bundle publish"):
        shelf.rollback(third)
    assert shelf.rollback(fourth).bundle == fourth
    assert [shelf.rollback().bundle for _ in range(2)] == [second, first]


def test_pruning_keeps_what_serves_and_what_served_before(random_source, tmp_path):
    shelf = Shelf(tmp_path / "bundles")
    ids = [build_bundle(random_source(seed, live=False), shelf) for seed in range(6)]
    for bundle in (ids[1], ids[0]):
        shelf.publish(bundle)
    newest = [manifest["id"] for manifest in shelf.bundles()][-3:]
    with pytest.raises(InputError, match="at least 3"):
        shelf.prune(2)
    gone = shelf.prune()
    kept = {path.name for path in shelf.path.iterdir() if path.is_dir()}
    assert kept == {*newest, ids[0], ids[1]}
    assert set(gone) == set(ids) - kept
    assert shelf.rollback().bundle == ids[1]


def test_pruning_keeps_what_a_service_has_loaded(random_source, tmp_path):
    """Though CURRENT has gone on, to bundles that it does not take."""
    shelf = Shelf(tmp_path / "bundles")
    for seed in range(6):
        build_bundle(random_source(seed, live=False), shelf)
    oldest, second, *newer = (manifest["id"] for manifest in shelf.bundles())
    shelf.publish(oldest)
    follower = Follower(shelf)
    follower.look()
    for bundle in newer:
        shelf.publish(bundle)
        (shelf.path / bundle / "golden.json").write_bytes(b"{}")
    follower.look()
    assert follower.refused and follower.scorer.bundle.id == oldest
    assert shelf.prune() == [second, newer[0]]
    assert shelf.rollback(oldest).bundle == oldest
    shelf.publish(build_bundle(random_source(9, live=False), shelf))
    follower.look()
    assert follower.refused is None
    shelf.publish(build_bundle(random_source(8, live=False), shelf))
    assert oldest in shelf.prune()


def test_a_bundle_pruned_between_its_check_and_its_publication_is_refused(static_shelved, monkeypatch):
    """Whoever checks a bundle does not hold the others up; so it may be gone when CURRENT would name it."""
    shelf, (first, second) = static_shelved.shelf, static_shelved.ids
    verify = Shelf.verify

    def pruned_after(self, bundle):
        manifest = verify(self, bundle)
        shutil.rmtree(self.path / bundle)
        return manifest

    monkeypatch.setattr(Shelf, "verify", pruned_after)
    for name in (shelf.publish, shelf.pin):
        with pytest.raises(InputError, match="no such bundle"):
            name(second)
        assert shelf.current().bundle == first
        monkeypatch.setattr(Shelf, "verify", lambda self, bundle: None)  # it is gone already


@pytest.mark.parametrize("change", ["publish", "rollback", "pin", "prune"])
def test_changes_wait_for_each_other(static_shelved, change):
    shelf, second = static_shelved.shelf, static_shelved.ids[1]
    shelf.publish(second)
    done = threading.Event()
    work = {"publish": lambda: shelf.publish(second)}.get(change, getattr(shelf, change))
    worker = threading.Thread(target=lambda: (work(), done.set()))
    with locked(shelf.path / ".lock"):
        worker.start()
        assert not done.wait(0.1)
    worker.join()
    assert done.is_set()


def test_the_commands(static_shelved):
    path, (first, second) = str(static_shelved.shelf.path), static_shelved.ids
    run = CliRunner().invoke

    listed = run(app, ["bundle", "list", path]).stdout
    assert f"* {first}" in listed and f"  {second}" in listed and "60 users" in listed
    assert "whole" in run(app, ["bundle", "verify", path, second]).stdout
    assert run(app, ["bundle", "publish", path, second]).stdout == f"Served: {second}\n"
    assert run(app, ["bundle", "rollback", path]).stdout == f"Served: {first}\n"
    assert run(app, ["bundle", "pin", path]).stdout == f"Served: {first}, pinned\n"
    refused = run(app, ["bundle", "publish", path, second]).exception
    assert isinstance(refused, InputError) and "pinned" in str(refused)
    assert run(app, ["bundle", "pin", path, "--off"]).stdout == f"Served: {first}\n"
    assert run(app, ["bundle", "prune", path]).stdout == ""
