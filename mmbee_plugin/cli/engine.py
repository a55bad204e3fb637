"""Options of commands that can run on a Spark cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    from mmbee_plugin.spark.session import SparkSession

ENGINES = ("embedded", "spark")

Engine = Annotated[str, typer.Option(help=f"What computes: {' or '.join(ENGINES)}; docs/scale.md has both.")]
Master = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of Spark: local[2], spark://host:7077.",
        show_default="as spark-submit says, else local[*]",
    ),
]


@contextmanager
def spark_session(
    engine: str, master: str | None, progress: Callable[[str], None]
) -> Iterator[SparkSession | None]:
    """A session of `--engine=spark` during the block; None for the embedded engine.

    Raises InputError for an unknown engine, a master without Spark, or as :func:`~mmbee_plugin.spark.session.session`.
    """
    if engine not in ENGINES:
        raise InputError(f"--engine={engine}: one of {', '.join(ENGINES)} is needed")
    if engine == "embedded":
        if master is not None:
            raise InputError(f"--master={master} is of Spark: --engine=spark goes with it")
        yield None
        return
    from mmbee_plugin.spark.session import session

    progress("starting Spark")
    with session(master) as spark:
        yield spark
