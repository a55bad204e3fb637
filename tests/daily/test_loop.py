"""Days of the loop: what each goes on from, and what it leaves."""

from __future__ import annotations

from pathlib import Path

from mmbee_plugin.serving.bundle.shelf import Shelf


def test_days_go_on_from_each_other_and_are_found_again(run, tmp_path: Path) -> None:
    first, second = run(2), run(3)
    assert first.cold and first.published and not second.cold and second.published
    pointer = Shelf(tmp_path / "bundles").current()
    assert pointer is not None and (pointer.bundle, pointer.previous) == (second.bundle, (first.bundle,))
    said: list[str] = []
    assert run(3, show=said.append) == second
    assert len(said) == 1 and "goes on from" in said[0]


def test_a_day_that_was_rolled_back_is_not_built_upon(run, tmp_path: Path) -> None:
    first, second = run(2), run(3)
    Shelf(tmp_path / "bundles").rollback()
    said: list[str] = []
    third = run(4, show=said.append)
    assert any(f"goes on from {first.day}" in line for line in said)
    assert not third.cold and third.bundle != second.bundle
