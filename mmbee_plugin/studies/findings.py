"""What a check found: a figure, the bound it is held against, and a plain verdict."""

from __future__ import annotations

from dataclasses import dataclass

OK, LOOK = "ok", "look at this"


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    Attributes:
        part: which part of the model, such as ``queries``.
        what: what was measured. value: it, as text. bound: what it should be, as text.
        good: whether it is.
    """

    part: str
    what: str
    value: str
    bound: str
    good: bool

    @property
    def verdict(self) -> str:
        """In plain words."""
        return OK if self.good else LOOK


def below(part: str, what: str, value: float, bound: float, form: str = ".3f") -> Finding:
    """A figure that should stay below a bound."""
    return Finding(part, what, f"{value:{form}}", f"below {bound:g}", value < bound)


def above(part: str, what: str, value: float, bound: float, form: str = ".3f") -> Finding:
    """A figure that should be above a bound."""
    return Finding(part, what, f"{value:{form}}", f"above {bound:.3g}", value > bound)
