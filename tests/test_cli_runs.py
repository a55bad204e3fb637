"""`mmbee` as the one front door: every command and option has its help, names are spelt as one likes, runs pass
through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mmbee_plugin import __version__, cli
from mmbee_plugin.command.spelling import spelled
from mmbee_plugin.experiments.study import declared
from mmbee_plugin.recbole.config.options import ARGUMENTS, COMPARE, RESUME, RUN, TRAIN, TUNE


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command below one, by its words; those that load when called are loaded."""
    inner = getattr(command, "commands", None)
    if inner is None:
        context = command.make_context(name, [], resilient_parsing=True)
        yield name, context.command
        return
    for word, each in inner.items():
        yield from commands(each, f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(cli.app), "mmbee"))


def test_all_commands_are_looked_at():
    studies = {f"mmbee {one.command}" for one in declared()}
    assert studies < COMMANDS.keys() and {"mmbee train", "mmbee data info", "mmbee serve"} < COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_help(name):
    assert COMMANDS[name].help
    assert [each.name for each in COMMANDS[name].params if not getattr(each, "help", None)] == []


def test_every_option_of_a_run_has_its_help():
    assert [name for name, declared in ARGUMENTS.items() if not declared.get("help")] == []
    assert set(ARGUMENTS) == {
        name for command in (RUN, TRAIN, COMPARE, RESUME, TUNE) for name in command.takes
    }


def test_version():
    shown = CliRunner().invoke(cli.app, ["--version"])
    assert shown.exit_code == 0 and shown.output == f"mmbee-plugin {__version__}\n"


@pytest.mark.parametrize("spelling", ["--max-dropped", "--max_dropped"])
def test_an_option_of_two_words_in_both_spellings(spelling, tmp_path):
    arguments = ["data", "convert", "hkuds", str(tmp_path), str(tmp_path / "to"), f"{spelling}=0.5"]
    shown = CliRunner().invoke(cli.app, arguments)
    assert "--zone and --max-dropped are for logs" in str(shown.exception)


def test_only_names_are_spelt_anew():
    assert spelled("--graph.top-k=a-b") == "--graph.top_k=a-b"
    assert spelled("--data-path") == "--data_path"
    assert [spelled(each) for each in ("a-b", "-a", "--", "")] == ["a-b", "-a", "--", ""]


@pytest.mark.parametrize(
    ("command", "module", "takes"),
    [("train", "run", (TRAIN,)), ("compare", "run", (COMPARE,)), ("resume", "run", (RESUME,)), ("tune", "tune", ())],
)  # fmt: skip
def test_a_run_gets_its_arguments_as_they_are(monkeypatch, command, module, takes):
    seen = []
    monkeypatch.setattr(f"mmbee_plugin.recbole.{module}.main", lambda *given: seen.append(given) or 3)
    words = ["MMBee", "--data-path", "x", "MMBee content=none", "--graph.top_k=5", "--help"]
    assert CliRunner().invoke(cli.app, [command, *words]).exit_code == 3
    assert seen == [(words, *takes)]
