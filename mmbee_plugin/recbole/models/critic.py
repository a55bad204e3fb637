"""The critic of MMSSL: separates users' real rows of items from generated ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SKETCH = 256
GRADIENT_WEIGHT = 0.3


class Critic(nn.Module):
    """A Wasserstein critic D: I -> I / 4 -> I / 8 -> 1 over rows of items, its output ``100 sigmoid``.

    Hidden layers are followed by LeakyReLU, LayerNorm and dropout. The authors' code has BatchNorm, under which a row's
    gradient depends on the other rows, and a LeakyReLU of slope 1, which makes the critic linear. Gradient norms start
    far above 1, so the first thousands of steps mainly reduce the penalty. With more than `exact` items the layers
    would not fit in memory: rows are first multiplied by a fixed random (I, 256) matrix of signs, over 16.

    Args:
        items: I.
        exact: largest number of items whose rows are read unprojected.
    """

    signs: Tensor | None

    def __init__(self, items: int, exact: int) -> None:
        super().__init__()
        width, signs = items, None
        if items > exact:
            width, generator = SKETCH, torch.Generator().manual_seed(0)
            signs = (torch.randint(0, 2, (items, SKETCH), generator=generator) * 2 - 1) / SKETCH**0.5
        self.register_buffer("signs", signs, persistent=False)
        wide, narrow = max(1, width // 4), max(1, width // 8)
        self.layers = nn.Sequential(
            *(nn.Linear(width, wide), nn.LeakyReLU(), nn.LayerNorm(wide), nn.Dropout(0.31)),
            *(nn.Linear(wide, narrow), nn.LeakyReLU(), nn.LayerNorm(narrow), nn.Dropout(0.5)),
            nn.Linear(narrow, 1),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """(R, I) -> (R,)."""
        return self._judge(self._sketch(rows))

    def frozen(self, rows: Tensor) -> Tensor:
        """As `forward`, with a gradient for the rows and none for the critic's weights."""
        self.requires_grad_(False)
        judged = self(rows)
        self.requires_grad_(True)
        return judged

    def loss(self, made: Tensor, real: Tensor) -> Tensor:
        """mean D(made) - mean D(real), (R, I) each, plus the gradient penalty of Gulrajani et al. (2017)."""
        made, real = self._sketch(made), self._sketch(real)
        share = torch.rand(len(real), 1, device=real.device)
        between = (share * real + (1 - share) * made).requires_grad_()
        (slope,) = torch.autograd.grad(self._judge(between).sum(), between, create_graph=True)
        penalty = (slope.norm(dim=1) - 1).square().mean()
        return self._judge(made).mean() - self._judge(real).mean() + GRADIENT_WEIGHT * penalty

    def _sketch(self, rows: Tensor) -> Tensor:
        return rows if self.signs is None else rows @ self.signs

    def _judge(self, rows: Tensor) -> Any:
        return 100 * torch.sigmoid(self.layers(rows).squeeze(1))
