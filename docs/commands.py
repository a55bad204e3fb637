"""The commands that the pages show, and whether the program, the options and the settings in them exist.

python docs/commands.py          # every command of every page, and what is wrong with it

`tests/docs/test_commands.py` reads the same commands and runs them.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import dropwhile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "datasets/README.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SHELLS = ("sh", "bash", "console", "shell")
PROGRAMS = ("mmbee", "python", "make", "torchrun")
"""programs whose commands within a sentence are checked too"""
ELSEWHERE = ("pip", "python3", "tools/bin/", "curl", "export", "pre-commit")
"""beginnings of commands that are not this project's"""
ACTIVATED = ".venv/bin/activate"
"""file that a shell reads, with a dot before it, to find the programs in .venv"""
NOT_OURS = ("pytest",)
"""modules that ``python -m`` starts, whose options are their own"""
STARTED = "mmbee_plugin.cli.__main__"
"""module that is mmbee, whose file spark-submit starts"""


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        text: on one line, without comments; what may be left out stands in ``[…]``.
        inline: whether it stands within a sentence.
    """

    page: Path
    line: int
    text: str
    inline: bool = False

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"

    @property
    def words(self) -> list[str]:
        """The command as a shell would split it, with what may be left out."""
        return shlex.split(re.sub(r"[\[\]](?!=)", " ", self.text) if " [" in self.text else self.text)

    @property
    def shortest(self) -> str:
        """The command without what may be left out."""
        return re.sub(r" \[[^\]]*\]", "", self.text)


def commands(pages: list[Path] | None = None) -> Iterator[Command]:
    """Commands of the pages in their order: of each page those in blocks, then those within sentences."""
    for page in PAGES if pages is None else pages:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            first = text[: block.start()].count("\n") + 2
            lines = block[3].splitlines()
            ours = [line.split()[:1] and line.split()[0] in PROGRAMS for line in lines]
            assert block[2] in SHELLS or not (block[2] == "" and any(ours)), (
                f"{page}:{first}: name the shell, ```sh"
            )
            if block[2] in SHELLS:
                yield from _of_block(page, first, lines)
        prose = BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
        for span in re.finditer(r"`([^`\n]+(?:\n[^`\n]+)?)`", prose):
            code = " ".join(span[1].split())
            if code.split()[0] in PROGRAMS and " " in code:
                yield Command(page, prose[: span.start()].count("\n") + 1, code, inline=True)


def _of_block(page: Path, first: int, lines: list[str]) -> Iterator[Command]:
    kept, start = "", first
    for number, line in enumerate(lines, first):
        start = start if kept else number
        kept += _without_comment(line).strip()
        if kept.endswith("\\"):
            kept = kept[:-1]
        elif kept:
            for one in kept.split(" && "):
                yield Command(page, start, " ".join(one.split()))
            kept = ""


def _without_comment(line: str) -> str:
    """A line up to a # that begins a word outside quotes."""
    quote = ""
    for at, sign in enumerate(line):
        if sign in "'\"" and quote in ("", sign):
            quote = "" if quote else sign
        elif sign == "#" and not quote and (at == 0 or line[at - 1].isspace()):
            return line[:at]
    return line


def wrong(command: Command) -> str | None:
    """What a command names that does not exist: its program, an option or a setting; None if all of it does."""
    words = list(dropwhile(_is_variable, command.words))
    if not words:
        return None
    if words[0] == ".":
        return None if words[1:] == [ACTIVATED] else f"a shell reads {ACTIVATED} alone"
    program = words[0].removeprefix(".venv/bin/")
    if program == "mmbee":
        return _wrong_mmbee(words[1:], command.inline)
    if program == "torchrun":
        return _wrong_job(words[1:], command.inline)
    if program == "make":
        return _wrong_make(words[1:])
    if program == "python":
        return _wrong_python(words[1:], command.inline)
    if program == "spark-submit":
        return _wrong_spark(words[1:], command.inline)
    return None if words[0].startswith(ELSEWHERE) else f"{words[0]}: of what program?"


def _wrong_mmbee(words: list[str], inline: bool) -> str | None:
    import typer

    from mmbee_plugin import cli

    found: Any = typer.main.get_command(cli.app)
    path: list[str] = []
    while (inner := getattr(found, "commands", None)) is not None:
        if not words or words[0].startswith("-") or words[0] == "…":
            return _unknown_options(words, _options(found), set())
        name, *words = words
        names = name.split("|")
        if missing := [one for one in names if one not in inner]:
            # `mmbee encoder` and `mmbee worker N` are names of processes
            return (
                None if not path and inline and name in ("encoder", "worker") else f"no command {missing[0]}"
            )
        found = inner[names[0]]
        path.append(names[0])
    if path[0] in ("train", "compare", "resume", "tune"):
        return _wrong_run(path[0], words)
    if path[0] == "torchrun":
        return _wrong_job(words, inline)
    found = found.make_context(path[-1], [], resilient_parsing=True).command
    settings: set[str] = set()
    if found.context_settings.get("ignore_unknown_options"):
        if path[0] in ("plan", "import"):
            settings = _listed("of_jobs")
            words = [f"--{word}" if _is_setting(word) else word for word in words]
        elif path == ["data", "shards"]:
            settings = _listed("of_shards")
        elif path == ["daily"]:
            of_model = _listed("of_jobs") | {"processes"} if "--adapter=torchrec" in words else _of_runs()
            settings = _listed("of_daily") | of_model
        else:
            settings = _of_runs()
    return _unknown_options(words, _options(found), settings)


def _wrong_run(name: str, words: list[str]) -> str | None:
    """Of a command line of `mmbee_plugin.recbole.config.options`."""
    from mmbee_plugin.recbole.config import options

    command = getattr(options, name.upper())
    known = {one for action in command.parser()._actions for one in action.option_strings}
    variants = " ".join(word for word in words if not word.startswith("--")) + " ".join(
        word.partition("=")[2] for word in words if word.startswith("--compare=")
    )
    inner = [f"--{one}" for one in re.findall(r"[\w.]+=", variants)]
    return _unknown_options([*words, *inner], known, _of_runs())


def _wrong_job(words: list[str], inline: bool) -> str | None:
    """Of torchrun and a module of this package with its settings."""
    if "-m" not in words:
        return None if inline else "no -m MODULE"
    own = words[words.index("-m") + 1 :]
    return _wrong_python(["-m", *own], inline)


def _wrong_spark(words: list[str], inline: bool) -> str | None:
    """Of spark-submit, whose options are Spark's, and the command of mmbee that stands after the file it starts."""
    after = [at for at, word in enumerate(words, 1) if f"{STARTED} as" in word]
    return _wrong_mmbee(words[after[0] :], inline) if after else f"spark-submit does not start {STARTED}"


def _wrong_make(words: list[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name = word.partition("=")[0]
        there = rf"^{name} *\??=" if "=" in word else rf"^{re.escape(name)}:"
        if not re.search(there, makefile, re.MULTILINE):
            return f"the Makefile has no {word}"
    return None


def _wrong_python(words: list[str], inline: bool) -> str | None:
    if words[0] == "-c":
        return None
    if words[0] == "-m":
        module, *rest = words[1:]
        if module in NOT_OURS:
            return None
        if find_spec(module) is None:
            return f"no module {module}"
        if module.startswith("mmbee_plugin.torchrec."):
            named = [f"--{word}" for word in rest if _is_setting(word)]
            options = [word for word in rest if word.startswith("--")]
            return _unknown_options([*named, *options], {"--config", "--resume"}, _listed("of_jobs"))
        return f"{module}: its options are not known here"
    file = ROOT / words[0]
    if not file.is_file():
        return f"no file {words[0]}"
    if words[0] in ("run_recbole.py", "run_hyper.py"):
        return _wrong_run("tune" if words[0] == "run_hyper.py" else "run", words[1:])
    source = file.read_text(encoding="utf-8")
    given = (word.partition("=")[0] for word in words[1:] if word.startswith("--"))
    return next((f"{words[0]} has no {name}" for name in given if f'"{name}"' not in source), None)


def _unknown_options(words: list[str], options: set[str], settings: set[str]) -> str | None:
    from mmbee_plugin.command.spelling import plain

    known = {plain(name) for name in options | {"--help"}} | {f"__{name}" for name in settings}
    for word in words:
        name = plain(word.partition("=")[0])
        if word.startswith("--") and name not in known and "name" not in name:  # --name=value is any of them
            return f"no option or setting {word}"
    return None


def _options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def _is_variable(word: str) -> bool:
    """Whether a word ahead of a program sets a variable of its environment."""
    return re.match(r"[A-Z_]+=", word) is not None


def _is_setting(word: str) -> bool:
    return re.match(r"[a-z_.]+=", word) is not None


@cache
def _listed(lists: str) -> set[str]:
    """Names of the settings of one of the lists in `mmbee_plugin.cli.listing`."""
    from mmbee_plugin.cli import listing

    rows = [row for group in getattr(listing, lists)() for row in group.rows]
    return {name.strip("` ") for row in rows for name in (row.name, *row.also.split(",")) if name}


@cache
def _of_runs() -> set[str]:
    """Names of settings of runs: the declared ones, and RecBole's of the models that the pages train."""
    from mmbee_plugin.recbole.config.known import known_settings

    named = set().union(*(known_settings(model) for model in ("MMBee", "LightGCN", "MMGCN", "MMSSL", "DIN")))
    return (
        _listed("of_runs")
        | _listed("of_graphs")
        | named
        | {"config_files", "train_neg_sample_args.sample_num"}
    )


def main() -> int:
    """Prints every command with what is wrong with it; the exit status is 1 if anything is."""
    found = [(one, wrong(one)) for one in commands()]
    for one, what in found:
        print(one, f"  <-- {what}" if what else "", sep="")
    return int(any(what for _, what in found))


if __name__ == "__main__":
    sys.exit(main())
