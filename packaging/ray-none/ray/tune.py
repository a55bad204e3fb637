"""What RecBole imports of ray, and calls only within a search that ray runs."""

from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(
        f"ray.tune.{name}: ray is not installed, packaging/ray-none stands for it. RecBole's search with ray needs "
        "Python 3.11 and ray 2.6.3; mmbee tune searches without"
    )
