"""Checks whether each modality is used: the queries' attention on it, and the change of scores without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from mmbee_plugin.experiments.scoring import Trained
from mmbee_plugin.experiments.sheet import SIGNIFICANT, p_text, percent
from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.recbole.data.rows import SEGMENT
from mmbee_plugin.studies.comparison import Compared, compare
from mmbee_plugin.studies.degraded import without
from mmbee_plugin.studies.findings import Finding, above

HEARD = 0.25
"""least attention on a modality, as a multiple of its share of the tokens"""
EVEN = 0.1
"""least total variation between the attention and a uniform one; below it the queries take a plain mean"""
APART = 0.05
"""least total variation between the attention of two queries of an author; below it they read the same"""
MOVED = 0.05
"""least change of the logit without a modality, in deviations of the logit; below it the modality is ignored"""
BATCH = 4096
WHOLE = "nothing hidden"


@dataclass(frozen=True)
class Attention:
    """The queries' attention, averaged over the distinct (author, segment) pairs of a split.

    Attributes:
        mass: modality -> mean share of the attention. fair: modality -> mean share of the present tokens.
        uneven: mean total variation between the attention and a uniform one over the present tokens.
        apart: mean total variation between the attention of two queries of an author.
    """

    mass: dict[str, float]
    fair: dict[str, float]
    uneven: float
    apart: float


@dataclass(frozen=True)
class Hidden:
    """The split scored with each modality hidden.

    Attributes:
        moved: modality -> root mean square change of the logit, in deviations of the logit.
        rows: :data:`WHOLE` -> the intact model; modality -> the model without it, with gains over the intact one.
        tested: whether differences get p-values; False for generated samples.
    """

    moved: dict[str, float]
    rows: dict[str, Compared]
    tested: bool


@torch.no_grad()
def read_attention(trained: Trained, split: str = "valid") -> Attention | None:
    """The attention of MMBee's eq. 6, averaged over heads and queries; None for a model without queries."""
    network = trained.network
    encoder = network.gtr.content
    if not isinstance(encoder, MFQ) or not encoder.settings.use_queries:
        return None
    rows = trained.rows(split)
    items = rows.inter_feat[rows.iid_field]
    live = network.content.windows is not None
    moments = torch.stack([items, rows.inter_feat[SEGMENT] if live else items]).unique(dim=1)
    names = list(network.content.tables)
    sums = torch.zeros(len(names) * 2 + 3, dtype=torch.float64)
    for part in moments.split(BATCH, dim=1):
        item, segment = part.to(network.device)
        side = network.author_side(item, None, segment if live else None)
        there = torch.stack([side.segment_mask[name] for name in names], dim=1).float()  # (B, M, L)
        some = there.sum(dim=(1, 2)) > 0
        read, there = encoder.attention(side)[some], there[some]  # (b, N, M, L)
        even = there / there.sum(dim=(1, 2), keepdim=True)
        parts = [
            read.mean(dim=1).sum(dim=2),
            even.sum(dim=2),
            (read - even[:, None]).abs().sum(dim=(2, 3)).mean(dim=1, keepdim=True) / 2,
            _apart(read.flatten(2))[:, None],
            torch.ones(len(read), 1, device=read.device),
        ]
        sums += torch.cat(parts, dim=1).sum(dim=0).double().cpu()
    found = (sums[:-1] / sums[-1].clamp(min=1)).tolist()
    mass, fair = found[: len(names)], found[len(names) : -2]
    return Attention(
        dict(zip(names, mass, strict=True)), dict(zip(names, fair, strict=True)), found[-2], found[-1]
    )


def hide_each(
    trained: Trained, split: str = "valid", show: Callable[[str], None] = lambda stage: None
) -> Hidden:
    """Scores a split intact and without each modality; calls ``show`` with each as it starts."""
    names = list(trained.network.content.tables)
    show("scoring")
    logits = {WHOLE: trained.logits(split)}
    for name in names:
        show(f"scoring without {name}")
        with without(trained.network, [name]):
            logits[name] = trained.logits(split)
    deviation = max(float(logits[WHOLE].std()), 1e-12)
    moved = {
        name: float(np.sqrt(np.square(logits[name] - logits[WHOLE]).mean())) / deviation for name in names
    }
    rows = compare(
        trained.samples(split), {name: [one] for name, one in logits.items()}, dict.fromkeys(names, WHOLE)
    )
    return Hidden(moved, rows, trained.tested)


def modality_findings(attention: Attention | None, hidden: Hidden) -> Iterator[Finding]:
    """Findings on each modality."""
    if attention is not None:
        for name, mass in attention.mass.items():
            fair = attention.fair[name]
            bound = f"above {HEARD * fair:.3f}, {HEARD:g} of its share of tokens"
            yield Finding(name, "attention of the queries", f"{mass:.3f}", bound, mass > HEARD * fair)
        yield above("queries", "difference of their attention from a plain mean", attention.uneven, EVEN)
        yield above("queries", "difference of the attention of an author's tokens", attention.apart, APART)
    for name, moved in hidden.moved.items():
        yield above(name, "change of the logit without it, in deviations", moved, MOVED)
    for name in hidden.moved:
        yield _fall(name, hidden.rows[name], hidden.tested)


def _fall(name: str, compared: Compared, tested: bool) -> Finding:
    gain, p = compared.gains["gauc"], compared.p_values["gauc"]
    if not tested:
        return Finding(name, "GAUC without it", percent(gain), "below 0", gain < 0)
    found, bound = f"{percent(gain)} (p {p_text(p)})", f"below 0 with p < {SIGNIFICANT:g}"
    return Finding(name, "GAUC without it", found, bound, gain < 0 and p < SIGNIFICANT)


def _apart(read: torch.Tensor) -> torch.Tensor:
    """(B, N, tokens) -> (B,) mean total variation between the attention of two different queries."""
    count = read.shape[1]
    distance = (read[:, :, None] - read[:, None]).abs().sum(dim=3) / 2  # (B, N, N)
    return distance.sum(dim=(1, 2)) / max(1, count * (count - 1))
