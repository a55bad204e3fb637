"""Runs the tutorials as they stand, and writes them as executed notebooks to docs/notebooks.

python docs/notebooks.py [PAGE ...]          # default: every page of docs/tutorials

A page's blocks of Python share one process, as cells of a notebook do; its blocks of shell commands run in the same
folder, which is a new one. `tests/test_tutorials.py` runs the same blocks without a notebook, and fails where one has
other cells than its page.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

TUTORIALS = Path(__file__).parent / "tutorials"
WRITTEN = Path(__file__).parent / "notebooks"
ROOT = Path(__file__).parents[1]
PAGES = sorted(page for page in TUTORIALS.glob("*.md") if page.stem != "index")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def script(page: str) -> str:
    """A page's code as one Python script; it stops at the first command that fails."""
    lines = ["import subprocess"]
    for kind, code in BLOCK.findall(page):
        command = f'subprocess.run(["bash", "-euo", "pipefail", "-c", {code!r}], check=True)'
        lines.append(code if kind == "python" else command)
    return "\n".join(lines)


def cells(page: str) -> list[tuple[str, str]]:
    """Kind (``markdown`` or ``code``) and text of each cell of a page's notebook."""
    found, after = [], 0
    for block in BLOCK.finditer(page):
        found.append(("markdown", page[after : block.start()].strip()))
        found.append(("code", block[2].rstrip() if block[1] == "python" else f"%%bash\n{block[2].rstrip()}"))
        after = block.end()
    return [(kind, text) for kind, text in (*found, ("markdown", page[after:].strip())) if text]


def write(path: Path) -> Path:
    """Executes a page in a new folder and writes its notebook to `WRITTEN`."""
    import nbformat
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    make = {"markdown": new_markdown_cell, "code": new_code_cell}
    parts = cells(path.read_text(encoding="utf-8"))
    notebook = new_notebook(
        cells=[make[kind](text, id=f"cell-{at}") for at, (kind, text) in enumerate(parts)]
    )
    with tempfile.TemporaryDirectory() as folder:
        places = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=None, coalesce_streams=True, resources=places).execute()
        text = nbformat.writes(notebook).replace(folder, ".").replace(str(ROOT), "mmbee-plugin")
        text = text.replace(sys.prefix, "mmbee-plugin/.venv")  # in warnings
    WRITTEN.mkdir(exist_ok=True)
    target = WRITTEN / f"{path.stem}.ipynb"
    target.write_text(text + "\n", encoding="utf-8")
    return target


def main(pages: list[str]) -> None:
    """Writes the notebooks of the named pages."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for path in [Path(page) for page in pages] or PAGES:
        print(f"Written: {write(path)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
