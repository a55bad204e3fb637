"""Every declared setting is in the help of the commands that take it, and in docs/settings.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.cli.listing import LISTS, of_baselines, of_graphs, of_jobs, of_runs, of_shards, page
from mmbee_plugin.settings.listing import groups
from mmbee_plugin.settings.section import Section

ROOT = Path(__file__).parents[2]


def test_the_page_is_the_one_that_the_declarations_give():
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page(), (
        "mmbee settings --markdown docs/settings.md writes it anew"
    )


@pytest.mark.parametrize("kind", LISTS)
def test_every_setting_has_a_meaning_and_is_listed_once(kind):
    rows = [(group.title, row) for group in LISTS[kind]() for row in group.rows]
    assert [row.name for _, row in rows if not row.meaning] == []
    of_models = LISTS[kind] is of_baselines  # each of whose groups is all that one model has
    assert len({(title if of_models else "", row.name) for title, row in rows}) == len(rows) > 8


@pytest.mark.parametrize(
    ("command", "listed"),
    [
        (["data", "shards"], of_shards),
        (["graph", "build"], of_graphs),
        (["table"], of_runs),
        (["table"], of_baselines),
        (["plan"], of_jobs),
        (["settings"], of_runs),
    ],
)
def test_help_lists_what_a_command_takes(command, listed):
    asked = command if command == ["settings"] else [*command, "--help"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0
    for group in listed():
        for row in group.rows:
            assert f"  {row.name} = {row.default}  (" in shown.output


@pytest.mark.parametrize(
    ("program", "listed"),
    [(["run_recbole.py"], of_runs), (["-m", "mmbee_plugin.torchrec.train"], of_jobs)],
)
def test_help_of_a_program_lists_what_it_takes(program, listed):
    shown = subprocess.run(
        [sys.executable, *program, "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    for group in listed():
        for row in group.rows:
            assert f"  {row.name} = {row.default}  (" in shown
    if listed is of_runs:
        assert "train_batch_size, learner" in shown and "  SIM: backbone=sim" in shown
        for group in of_baselines():
            assert f"{group.title}:\n" in shown and " ".join(group.note.split()) in " ".join(shown.split())


class _Inner(Section):
    """Inner."""

    size: int | None = 3
    """elements"""
    rate: float = 0.5
    """a step"""


class _Outer(Section):
    """Outer."""

    inner: _Inner = _Inner(size=None)
    """nested"""


def test_a_nested_setting_is_listed_with_the_default_that_the_outer_section_gives_it():
    (inner,) = [group for group in groups(_Outer) if group.rows]
    assert {row.name: row.default for row in inner.rows} == {"inner.size": "~", "inner.rate": "0.5"}
