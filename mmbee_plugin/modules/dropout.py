"""Dropout whose draws are cheap on a CPU."""

from __future__ import annotations

import torch
from torch import nn


class Dropout(nn.Dropout):
    """As :class:`torch.nn.Dropout`, whose Bernoulli draws cost more on a CPU than uniform ones do.

    Shapes:
        - input, output: any one shape

    Example:
        >>> Dropout(0.5).eval()(torch.ones(3))
        tensor([1., 1., 1.])
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        kept = (torch.rand(input.shape) >= self.p).to(input.dtype)
        return input * kept.mul_(1 / (1 - self.p))
