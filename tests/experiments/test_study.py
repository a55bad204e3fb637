"""Studies are found by their decorators, without importing what they need, and are commands with their own options."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections import Counter

import pytest

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.study import GIVEN, declared, numbers

STUDIES = {one.command: one for one in declared()}


def test_the_command_line_has_every_study_and_does_not_import_torch_for_it():
    program = "import sys, mmbee_plugin.cli; assert not {'torch', 'recbole', 'plotly'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True)
    groups = {group.name: group.typer_instance for group in app.registered_groups} | {"": app}
    for command, one in STUDIES.items():
        group, _, name = command.rpartition(" ")
        (registered,) = (each for each in groups[group].registered_commands if each.name == name)
        assert registered.help == one.help and one.help.splitlines()[0].endswith(".")


def test_no_two_studies_share_a_command_or_a_page():
    assert len(STUDIES) == len(list(declared()))
    assert max(Counter(one.out for one in STUDIES.values()).values()) == 1


@pytest.mark.parametrize("command", STUDIES)
def test_a_study_describes_every_option_of_its_own(command):
    function, options = STUDIES[command].load()
    assert inspect.getdoc(function) == STUDIES[command].help
    assert options.keys() == inspect.signature(function).parameters.keys() - set(GIVEN)


def test_numbers_are_read_or_refused():
    assert numbers("1,2.5", "--rates", float) == [1.0, 2.5]
    with pytest.raises(InputError, match="--ages '1,a': whole numbers separated by commas are needed"):
        numbers("1,a", "--ages", int)
