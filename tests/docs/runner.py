"""Runs commands of the pages in one process: a JSON list of them from stdin, until one fails."""

from __future__ import annotations

import json
import os
import runpy
import shlex
import sys
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]


def newest(pattern: str) -> str:
    """The newest file of a pattern that is a finished run's."""
    found = [path for path in Path().glob(pattern) if "last" not in path.name]
    return str(max(found, key=lambda path: path.stat().st_mtime))


def filled(text: str) -> str:
    """A command with the reader's own names put in: a run, a bundle, a user, an author, a room."""
    if "saved/MMBee-…" in text:
        text = text.replace("saved/MMBee-….pth", newest("saved/MMBee-livesim-*.pth"))
    if "saved/MMBee-tiktok-…" in text:
        text = text.replace("saved/MMBee-tiktok-….pth", newest("saved/MMBee-tiktok-*.pth"))
    if text.startswith("mmbee bundle") and " ID" in text:
        text = text.replace(" ID", f" {json.loads(Path('bundles/CURRENT').read_text())['bundle']}")
    if "u239" in text:
        row = Path("datasets/livesim/livesim.test.inter").read_text().splitlines()[1].split("\t")
        text = text.replace("u239", row[0]).replace("a680", row[1])
    return text


def run(text: str) -> int:
    """Runs one command as its program would; returns the exit status."""
    program, *sys.argv = shlex.split(text)
    if program == "mmbee":
        from mmbee_plugin import cli

        sys.argv.insert(0, program)
        start = cli.main
    elif sys.argv[0] == "-m":
        module = sys.argv.pop(0) and sys.argv[0]
        start = partial(runpy.run_module, module, run_name="__main__", alter_sys=True)
    else:
        script = str(ROOT / sys.argv[0])
        start = partial(runpy.run_path, script, run_name="__main__")
    try:
        start()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def main() -> None:
    for text in json.load(sys.stdin):
        command, begun = filled(text), time.process_time()
        print(f"\n>>> {command}", flush=True)
        status = run(command)
        print(f"\n<<< {status}, {time.process_time() - begun:.1f} CPU s", flush=True)
        if status:
            print(f"{command}: exit status {status}", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    os.environ.setdefault("MMBEE_TRACEBACK", "1")
    main()
