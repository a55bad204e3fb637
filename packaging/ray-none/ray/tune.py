"""What RecBole imports of ray."""

from typing import NoReturn


def report(**metrics: object) -> None:
    """Reports metrics to nobody, as ray's own does outside of ray's searches; RecBole's ``objective_function`` calls it
    after each run."""


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(
        f"ray.tune.{name}: ray is not installed, packaging/ray-none stands for it. RecBole's search with ray needs "
        "Python 3.11 and ray 2.6.3; mmbee tune searches without"
    )
