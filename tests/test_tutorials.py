"""The tutorials run as they stand: every block of a page, in order, in a new folder."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
LAST = {
    "own-data": "MMBee minus the row",
    "own-model": "without 0.",
    "platform": "'accepted': ",
}
"""page -> what its blocks print towards their end"""

spec = importlib.util.spec_from_file_location("notebooks", DOCS / "notebooks.py")
assert spec is not None
assert spec.loader is not None
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_it_stands(page, tmp_path):
    script = tmp_path / "page.py"
    script.write_text(notebooks.script(page.read_text(encoding="utf-8")), encoding="utf-8")
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    running = subprocess.Popen(
        [sys.executable, script.name],
        cwd=tmp_path,
        env={**os.environ, "PATH": tools, "PYTHONPATH": str(DOCS.parent), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a page's service ends with it, whatever happens
    )
    try:
        printed, _ = running.communicate(timeout=900)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 0, printed[-4000:]
    assert LAST[page.stem] in printed


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda page: page.stem)
def test_its_notebook_is_the_page_executed(page):
    path = notebooks.WRITTEN / f"{page.stem}.ipynb"
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in found]
    assert cells == notebooks.cells(page.read_text(encoding="utf-8")), "make notebooks writes it again"
    code = [cell for cell in found if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    printed = json.dumps([cell["outputs"] for cell in code])
    assert LAST[page.stem] in printed and '"error"' not in printed
    assert path.stat().st_size < 100_000 and str(DOCS.parent) not in printed
    assert not re.search(r'"/[^ "]*/site-packages/', printed), "a path of the machine that it ran on"


def test_a_block_that_fails_stops_the_page(tmp_path):
    page = "```sh\nfalse\necho after\n```\n```python\nprint('later')\n```\n"
    ran = subprocess.run(
        [sys.executable, "-c", notebooks.script(page)], capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode != 0
    assert "after" not in ran.stdout
    assert "later" not in ran.stdout


def test_cells_are_the_page_in_order():
    page = "# A\n\ntext\n\n```python\nx = 1\n```\n\nmore\n\n```sh\nls\n```\n"
    assert notebooks.cells(page) == [
        ("markdown", "# A\n\ntext"),
        ("code", "x = 1"),
        ("markdown", "more"),
        ("code", "%%bash\nls"),
    ]
