"""Examples in docstrings run and are quick; the paper's parts say which equations they are."""

import doctest
import importlib
import pkgutil
import time

import pytest
from torch import nn

from mmbee_plugin import evaluation, graph, modules

PAPER = "https://arxiv.org/abs/2407.00056"
FROM_THE_PAPER = ("MFQ", "GIE", "OrthogonalProjection", "GraphCLLoss", "GTRModel")
EXAMPLES = [
    pytest.param(test, id=test.name.removeprefix("mmbee_plugin."))
    for package in (modules, graph, evaluation)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module.name))
    if test.examples
]


@pytest.mark.parametrize("test", EXAMPLES)
def test_an_example_runs_within_a_second(test):
    messages, seconds = [], []
    for _ in range(2):  # the first may import or compile what it uses
        begun = time.process_time()
        failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=messages.append, clear_globs=False)
        seconds.append(time.process_time() - begun)
        assert failed == 0, "".join(messages)
        if seconds[-1] < 1:
            return
    assert min(seconds) < 1


@pytest.mark.parametrize(
    "name", [name for name in modules.__all__ if issubclass(getattr(modules, name), nn.Module)]
)
def test_a_public_module_has_an_example(name):
    assert ">>> " in getattr(modules, name).__doc__


@pytest.mark.parametrize("name", FROM_THE_PAPER)
def test_a_part_of_the_paper_names_its_equations(name):
    text = getattr(modules, name).__doc__
    assert PAPER in text and "eq. " in text
