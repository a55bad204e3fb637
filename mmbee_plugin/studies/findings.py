"""Findings of a diagnosis: a measured value, its bound, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

OK, LOOK = "ok", "look at this"


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    Attributes:
        part: part of the model, such as ``queries``.
        what: name of the measure. value, bound: measured and expected value, as text.
        good: whether the value is within the bound.
    """

    part: str
    what: str
    value: str
    bound: str
    good: bool

    @property
    def verdict(self) -> str:
        """:data:`OK` or :data:`LOOK`."""
        return OK if self.good else LOOK


def below(part: str, what: str, value: float, bound: float, form: str = ".3f") -> Finding:
    """A value that should be below a bound."""
    return Finding(part, what, f"{value:{form}}", f"below {bound:g}", value < bound)


def above(part: str, what: str, value: float, bound: float, form: str = ".3f") -> Finding:
    """A value that should be above a bound."""
    return Finding(part, what, f"{value:{form}}", f"above {bound:.3g}", value > bound)
