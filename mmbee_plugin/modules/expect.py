"""Checks of a module's input that cost nothing a batch: shapes and presence, never values."""

from __future__ import annotations

import torch


def expect_width(name: str, values: torch.Tensor, width: int) -> None:
    """Raises ValueError unless ``values`` are (..., width).

    Example:
        >>> expect_width("history", torch.zeros(2, 5, 16), 8)
        Traceback (most recent call last):
        ValueError: history: width 16, expected 8
    """
    if values.shape[-1] != width:
        raise ValueError(f"{name}: width {values.shape[-1]}, expected {width}")


def expect_given(name: str, values: torch.Tensor | None) -> torch.Tensor:
    """The values; raises ValueError if they are None."""
    if values is None:
        raise ValueError(f"{name}: missing, expected by the parts of this model")
    return values
