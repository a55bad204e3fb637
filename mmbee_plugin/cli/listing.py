"""Lists the declared settings of each command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from mmbee_plugin.settings.listing import Group

INTRODUCTION = """# Settings

Written by `mmbee settings --markdown docs/settings.md` from the declarations in the code, which also make `--help` and
check YAML files and command lines. `~` is YAML's null; names in brackets are taken too. RecBole's own settings are
listed by `mmbee train --help`. Letters in the meanings of baselines' settings are those of the equations in their
classes ([baselines.md](baselines.md)).
"""


def of_runs() -> list[Group]:
    """Settings of runs under RecBole."""
    from mmbee_plugin.recbole.config.help import run_groups

    return run_groups()


def of_baselines() -> list[Group]:
    """Settings of runs of the baselines, besides those of all models."""
    from mmbee_plugin.recbole.config.help import baseline_groups

    return baseline_groups()


def of_graphs() -> list[Group]:
    """Settings of their offline stage."""
    from mmbee_plugin.recbole.config.settings import StageSettings
    from mmbee_plugin.settings.listing import groups

    return groups(StageSettings)


def of_jobs() -> list[Group]:
    """Settings of TorchRec jobs."""
    from mmbee_plugin.settings.listing import groups
    from mmbee_plugin.torchrec.settings import Settings

    return groups(Settings)


def of_shards() -> list[Group]:
    """Settings of `mmbee data shards`."""
    from mmbee_plugin.settings.listing import groups
    from mmbee_plugin.torchrec.shards.settings import ShardSettings

    return groups(ShardSettings)


def of_daily() -> list[Group]:
    """Settings of `mmbee daily`, besides those of the model."""
    from mmbee_plugin.daily.settings import DailySettings
    from mmbee_plugin.settings.listing import groups

    return groups(DailySettings, "daily.")


def of_daily_jobs() -> list[Group]:
    """Settings of `mmbee daily --adapter=torchrec`, besides those of the loop and of TorchRec jobs."""
    from mmbee_plugin.daily.job_settings import DaySettings
    from mmbee_plugin.settings.listing import groups
    from mmbee_plugin.torchrec.settings import Settings

    return groups(DaySettings, without=[Settings])


LISTS: dict[str, Callable[[], list[Group]]] = {
    "Runs under RecBole: `--name=value`": of_runs,
    "Runs of the baselines: `--name=value`": of_baselines,
    "TorchRec jobs: `section.name=value`": of_jobs,
    "Shards: `mmbee data shards --name=value`": of_shards,
    "The daily loop: `mmbee daily --daily.name=value`": of_daily,
    "Its TorchRec jobs: `mmbee daily --adapter=torchrec --name=value`": of_daily_jobs,
}


def text() -> str:
    """All settings, for a terminal."""
    from mmbee_plugin.settings.listing import text_of

    return "\n".join(
        f"{title.replace('`', '').upper()}\n\n{text_of(listed())}\n" for title, listed in LISTS.items()
    )


def page() -> str:
    """All settings, the text of docs/settings.md."""
    from mmbee_plugin.settings.listing import markdown_of

    parts = (f"## {title}\n\n{markdown_of(listed())}" for title, listed in LISTS.items())
    return "\n".join([INTRODUCTION, *parts]).rstrip() + "\n"


def with_list(*listed: Callable[[], list[Group]]) -> type[TyperCommand]:
    """A command class whose help ends with the settings that it accepts."""

    class Command(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            from mmbee_plugin.settings.listing import text_of

            super().format_help(ctx, formatter)
            every = [group for each in listed for group in each()]
            formatter.write(f"Settings, as --name=value:\n\n{text_of(every)}")

    return Command
