"""Displays of progress are for terminals, whatever the environment says of colours."""

from __future__ import annotations

from mmbee_plugin.command.stages import stage_display


def test_a_pipe_gets_a_line_a_stage(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a notebook has it
    with stage_display() as show:
        show("users")
        show("authors")
    assert capsys.readouterr().err == "users\nauthors\n"
