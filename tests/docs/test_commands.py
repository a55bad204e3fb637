"""Every command of README and of the pages is read from the page, and run or checked down to its options.

``RULES`` puts each into a class; a command without one fails. Commands that run do so in one process and one folder, in
the order of the table, with the sizes that stand beside them there. Slow ones run with ``pytest -m slow``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("commands", ROOT / "docs" / "commands.py")
assert spec is not None
assert spec.loader is not None
commands = importlib.util.module_from_spec(spec)
sys.modules["commands"] = commands  # for its dataclass
spec.loader.exec_module(commands)

FAST, SLOW, PARSED, TUTORIAL = "fast", "slow", "parsed", "tutorial"
ONCE = "--epochs=1 --embedding_size=8 --graphcl.epochs=1 --gpu_id="
LIVE = f"{ONCE} --graph.folds=2"
TABLE = f"--seeds=1 --jobs=1 {ONCE}"


@dataclass(frozen=True)
class Rule:
    """What is done with the commands that begin in one way.

    Attributes:
        begins: beginning of the commands.
        kind: one of the classes.
        more: options added to a command that runs, so that it is small; of a parsed one why it does not run.
        page: of the commands; None for all.
    """

    begins: str
    kind: str
    more: str = ""
    page: str | None = None

    def fits(self, command) -> bool:
        where = str(command.page.relative_to(ROOT))
        return command.text.startswith(self.begins) and self.page in (None, where)


RULES = (
    # Data and a run that all other pages start from
    Rule("mmbee data simulate logs/livesim [", FAST, "--users=250 --authors=30 --days=8 --density=8"),
    Rule("mmbee data samples logs/livesim datasets/mine", FAST),
    Rule("python run_recbole.py --model=MMBee --dataset=livesim --config_files", SLOW, ONCE),
    Rule("python run_recbole.py --model=MMBee --dataset=livesim2", SLOW, LIVE),
    Rule("python run_recbole.py --model=MMBee --dataset=livesim", FAST, LIVE),
    Rule("mmbee train --model=MMBee --dataset=tiktok --print_config", FAST),
    Rule("mmbee train --model=MMBee --dataset=tiktok --", SLOW, ONCE),  # ahead of the run that others read
    Rule("mmbee train --model=MMBee --dataset=tiktok", FAST, ONCE),
    Rule("mmbee graph build --dataset=tiktok", FAST, "--embedding_size=8 --graphcl.epochs=1"),
    Rule("mmbee graph neighbours", FAST, "--embedding_size=8 --graphcl.epochs=1"),
    # What reads a trained model
    Rule("mmbee diagnose", FAST),
    Rule("mmbee explain", FAST),
    Rule("mmbee figure room", FAST),
    Rule("mmbee study missing", FAST, "--rates=0.5 --noise=1"),
    Rule("mmbee study stale", FAST, "--ages 0,1"),
    # Serving
    Rule("mmbee bundle publish bundles ID --store", PARSED, "needs a Redis; tests/serving/test_store.py"),
    Rule("mmbee bundle prune bundles --store", PARSED, "needs a Redis; tests/serving/test_store.py"),
    Rule("mmbee bundle", FAST),
    Rule("mmbee serve bundles", PARSED, "goes on until it is ended; the tutorial of the platform runs it"),
    Rule("curl", PARSED, "needs a service; tests/serving/service asks the same routes"),
    # Settings of runs
    Rule("mmbee compare MMBee SIM", SLOW, ONCE),
    Rule("mmbee compare", SLOW, ONCE.replace("--epochs=1", "")),
    Rule(
        "mmbee train --model=MMSSL --dataset=tiktok --tuned", PARSED, "needs the files that it was tuned on"
    ),
    Rule(
        "mmbee train --model=MMBee --dataset=ml-100k",
        SLOW,
        f"{ONCE} --interest=none".replace(" --graphcl.epochs=1", ""),
    ),
    Rule("mmbee train --model=MMBee --dataset=livesim", SLOW, LIVE),
    Rule("mmbee train --model=MMGCN", SLOW, ONCE.replace("--graphcl.epochs=1 ", "")),
    Rule("mmbee resume", PARSED, "needs a killed run; tests/recbole/test_trainer.py"),
    Rule("python run_recbole.py --model=MMBee --dataset=movielens", PARSED, "needs the files of MovieLens"),
    Rule("python run_recbole.py --model=MMBee --dataset=ml-1m", PARSED, "as above"),
    Rule("python run_recbole.py --model=MMBee --dataset=microlens", PARSED, "needs the files of MicroLens"),
    Rule("python run_recbole.py", SLOW, ONCE),
    Rule("mmbee tune", SLOW, f"--max_evals=1 {ONCE}"),
    # Tables, studies, the A/B test and the loop: minutes each, and a test of their own with small sizes
    Rule("mmbee table", PARSED, "minutes to hours; tests/tables"),
    Rule("mmbee figure", PARSED, "minutes; tests/figures"),
    Rule("mmbee study", PARSED, "trains models; tests/studies"),
    Rule("mmbee graph select", PARSED, "trains models; tests/studies/test_importance.py"),
    Rule("mmbee graph cost", PARSED, "minutes; tests/studies/test_cost.py"),
    Rule("mmbee abtest", PARSED, "minutes to hours; tests/abtest"),
    Rule(
        "mmbee data simulate logs/livesim --users=1000", SLOW, "--users=200 --authors=30 --density=8 --force"
    ),
    Rule(
        "mmbee daily logs/livesim bundles --day=7 --adapter", PARSED, "minutes; tests/daily/test_torchrec.py"
    ),
    Rule("mmbee daily logs/livesim bundles --from=8 --to=10 --adapter", PARSED, "as above"),
    Rule("mmbee daily logs/livesim", PARSED, "minutes; tests/daily/test_loop.py"),
    Rule("mmbee daily logs/mine", PARSED, "needs a log of one's own"),
    Rule("python benchmarks/", PARSED, "minutes to hours; a figure in the results each"),
    # Data files, a GPU, a cluster, a network
    Rule("mmbee data convert", PARSED, "needs public files; tests/data has a test for each format"),
    Rule("mmbee data samples logs/kuailive", PARSED, "needs KuaiLive"),
    Rule("mmbee data simulate logs/livesim2", PARSED, "minutes; tests/livesim has the second world"),
    Rule("mmbee data samples logs/livesim2", PARSED, "as above"),
    Rule("mmbee graph build --dataset=NAME", PARSED, "a form; tests/graph and tests/test_cli_graph.py"),
    Rule("mmbee graph merge", PARSED, "a form; as above"),
    Rule("mmbee data samples LOGS", PARSED, "needs Java; tests/spark/test_samples.py"),
    Rule("mmbee graph build --logs=LOGS", PARSED, "needs Java; tests/spark/test_graph.py"),
    Rule("mmbee graph build --dataset=live --engine=spark", PARSED, "needs a cluster; as above"),
    Rule("PYSPARK_PYTHON=/opt/mmbee/bin/python spark-submit", PARSED, "needs a cluster"),
    Rule("mmbee data samples logs/vtuber", PARSED, "needs the logs that convert reads"),
    Rule("mmbee data info NAME", PARSED, "a form; the tutorial on own data runs it"),
    Rule("mmbee data shards", SLOW, "--graphcl.epochs=1"),
    Rule("torchrun --nnodes", PARSED, "needs a cluster"),
    Rule("torchrun", PARSED, "two processes; tests/torchrec/test_two_processes.py"),
    Rule("python -m mmbee_plugin.torchrec.train", PARSED, "minutes; tests/torchrec"),
    Rule("pip install", PARSED, "needs an index of packages; make installs the same"),
    Rule("python3 -m venv", PARSED, "sets up an environment"),
    Rule("tools/bin/", PARSED, "needs an index of packages"),
    Rule("make", PARSED, "sets up an environment; CI runs make test"),
    Rule("export OMP_NUM_THREADS", PARSED, "nothing to see"),
    Rule(". .venv/bin/activate", PARSED, "of a shell: nothing to see"),
    Rule("python -m pytest", PARSED, "this"),
    Rule(".venv/bin/python", PARSED, "tests, and docs/rooms.py, which tests/test_rooms.py runs"),
    Rule("mmbee demo", PARSED, "a minute; tests/serving/service/test_demo.py runs it"),
)
BEFORE = [
    "mmbee data samples logs/livesim datasets/livesim --train-negatives 0.3 --test-negatives 0.3",
]
"""run before the first command that reads ``datasets/livesim``, which would be simulated at its full size"""
RUNNER = Path(__file__).with_name("runner.py")


def of_blocks():
    return [one for one in commands.commands() if not one.inline]


def rule_of(command) -> Rule:
    if command.page.parent.name == "tutorials":
        return Rule("", TUTORIAL)
    fitting = [rule for rule in RULES if rule.fits(command)]
    assert fitting, f"{command}: no rule says whether it runs"
    return fitting[0]


def test_every_command_has_a_class_and_every_rule_a_command():
    used = {rule_of(command) for command in of_blocks()}
    assert set(RULES) <= used, set(RULES) - used
    assert all(rule.more for rule in RULES if rule.kind == PARSED), "why does it not run?"


def test_programs_options_and_settings_exist():
    found = [f"{command} <- {what}" for command in commands.commands() if (what := commands.wrong(command))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "mmbee tabel 3",
        "mmbee table 3 --sed=3",
        "mmbee data info shop --image shop.html",
        "mmbee train --model=MMBee --dataset=tiktok --embedding=8",
        "mmbee compare MMBee 'MMBee contents=none' --dataset=tiktok",
        "python run_recbole.py --model=MMBee --graph.fold=3",
        "python -m mmbee_plugin.recbole --model=MMBee",
        "python benchmarks/gate.py --user=5",
        "python benchmarks/gates.py",
        "python -m mmbee_plugin.torchrec.train --config x.yaml train.epoch=5",
        "mmbee torchrun -m mmbee_plugin.torchrec.train --confg x.yaml",
        "PYTHON=p spark-submit '$(python -c \"import mmbee_plugin.cli.__main__ as m\")' graph build --engin=spark",
        "PYTHON=p spark-submit job.py graph build --engine=spark",
        "make notebook",
        "ls saved",
        ". .venv/bin/activat",
    ],
)
def test_what_does_not_exist_is_found(text):
    assert commands.wrong(commands.Command(ROOT / "README.md", 1, text))


def test_commands_are_read_as_a_shell_has_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\n# all\nmmbee a --x 'b # c'   # d\n\nmmbee e \\\n    --f && mmbee g [--h 1]\n```\nand `mmbee\ni`\n"
    )
    found = list(commands.commands([page]))
    assert [(one.line, one.text, one.inline) for one in found] == [
        (3, "mmbee a --x 'b # c'", False),
        (5, "mmbee e --f", False),
        (5, "mmbee g [--h 1]", False),
        (8, "mmbee i", True),
    ]
    assert found[2].shortest == "mmbee g" and found[2].words == ["mmbee", "g", "--h", "1"]


def test_no_command_gives_a_setting_that_nothing_reads():
    from mmbee_plugin.recbole.config import options
    from mmbee_plugin.recbole.config.files import base_sources
    from mmbee_plugin.recbole.config.idle import check_read
    from mmbee_plugin.recbole.config.layers import default_settings
    from mmbee_plugin.recbole.config.sources import merged, settings_of

    programs = {
        "mmbee train": options.TRAIN,
        "mmbee compare": options.COMPARE,
        "python run_recbole.py": options.RUN,
    }
    programs["mmbee tune"] = options.Command("mmbee tune", "", (*options.TRAIN.takes, "--max_evals"))
    seen = 0
    for command in of_blocks():
        begins = " ".join(command.text.split()[:2])
        if begins not in programs or "--resume" in command.text:
            continue
        small = rule_of(command).more if rule_of(command).kind in (FAST, SLOW) else ""
        chosen = options.parse_run([*command.words[2:], *small.split()], programs[begins])
        for kind in ("real", "sample"):
            folder = SimpleNamespace(name=chosen.dataset, kind=kind, live=None)
            configs = []
            for one in chosen.variants:
                given = settings_of([*base_sources(one.model, folder), *chosen.sources_of(one)], one.model)
                configs.append(merged(default_settings(one.model), given) | {"model": one.model})
                check_read(configs[-1:], one.settings)
            check_read(configs, chosen.on_command_line)
        seen += 1
    assert seen > 20


def run_all(kinds: set[str], folder: Path) -> None:
    """Runs the commands of the classes in the order of the table, each once."""
    ordered = sorted(
        of_blocks(), key=lambda one: RULES.index(rule) if (rule := rule_of(one)) in RULES else -1
    )
    chosen = [one for one in ordered if rule_of(one).kind in kinds]
    texts = dict.fromkeys(f"{one.shortest} {rule_of(one).more}".strip() for one in chosen)
    lines = list(texts)
    first = next(place for place, line in enumerate(lines) if "--dataset=livesim" in line)
    lines[first:first] = BEFORE
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, str(RUNNER)],
        input=json.dumps(lines),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, f"{ended.stdout[-1500:]}\n{ended.stderr[-3000:]}"
    assert ended.stdout.count("\n>>> ") == len(lines)


def test_fast_commands_run(tmp_path):
    run_all({FAST}, tmp_path)


@pytest.mark.slow
def test_all_commands_run(tmp_path):
    run_all({FAST, SLOW}, tmp_path)
