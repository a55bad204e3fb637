"""What the model costs on one GPU: the columns of the paper's Tables 5 and 6, parity of bf16, the graph stage's share.

    python benchmarks/gpu.py               # on a machine with CUDA; started by benchmarks/gpu.sh
    python benchmarks/gpu.py --dry-run     # every part in tiny size, on the CPU, in seconds: says nothing of speed

The model is MMBee in the paper's shapes (SIM, MFQ, GIE; 3 modalities, 4 queries, histories of 50, five metapaths) on
random tensors that stay on the device: its dense part, without look-ups in tables, which TorchRec's benchmark has.
A training step is forward, loss, backward and Adam; inference encodes both sides and scores the pairs. Samples a second
are of the median step. *fused*: attention by whichever kernel PyTorch picks; *plain*: by matrix products, which write
out the weights. *compiled*: torch.compile, whose first steps are not counted.

Parity compares the same weights in fp32 and bf16 (autocast): the largest difference of a logit in deviations of the
logits, rank correlation, and the loss after the same steps of training. The graph stage runs on the CPU whatever
trains; its share is of a training of 10 epochs at the rate measured here, on a graph of the TikTok data's size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from graph_stage import DRAWS, compile_kernels, draw
from scipy.stats import spearmanr
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath
from mmbee_plugin.graph.swing import swing
from mmbee_plugin.modules import AuthorSide, ContentSettings, GTRModel, GTRSettings, SIMSettings, UserSide

WIDTHS, LENGTHS = (32, 64, 128), (5, 10, 20)
EPOCHS = 10


@dataclass(frozen=True)
class Size:
    """Sizes of the model and of a batch; ``width`` and ``segments`` are what Tables 5 and 6 change."""

    batch: int = 4096
    width: int = 64
    segments: int = 20
    modality: int = 128
    history: int = 50
    steps: int = 20
    warm_up: int = 5
    graph: float = 1.0
    """part of the TikTok graph's size"""


TINY = Size(batch=16, width=8, segments=2, modality=4, history=4, steps=2, warm_up=1, graph=0.01)


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    name: str
    bf16: bool = False
    plain: bool = False
    compiled: bool = False


WAYS = (
    Way("fp32, fused"),
    Way("bf16, fused", bf16=True),
    Way("bf16, plain", bf16=True, plain=True),
    Way("bf16, compiled", bf16=True, compiled=True),
)


class Pairs(nn.Module):
    """Logits (B,) of aligned users and authors, computed in float32 or under autocast."""

    def __init__(self, size: Size, bf16: bool) -> None:
        super().__init__()
        self.bf16 = bf16
        shapes = {"width": size.width, "attribute_width": 0, "dropout": 0.0}
        paths = {
            f"{side}_metapaths": tuple(name for name in PAPER_METAPATHS if name[0] == side[0])
            for side in ("user", "author")
        }
        content = ContentSettings(
            widths=dict.fromkeys(("visual", "speech", "comment"), size.modality),
            width=size.width,
            modality_dropout=0.0,
            default_query_rate=0.0,
        )
        settings = GTRSettings(backbone="sim", content="mfq", interest="gie", **shapes, **paths)
        self.gtr = GTRModel(settings, content, SIMSettings(width=size.width, search="soft"))

    def forward(self, user: UserSide, author: AuthorSide) -> torch.Tensor:
        # Entered for each call: weights that it has cast are kept until it is left.
        with torch.autocast(author.author.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return self.gtr.score(self.gtr.encode_user(user), self.gtr.encode_author(author)).float()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="tiny, on the CPU")
    dry = parser.parse_args().dry_run
    if not (dry or torch.cuda.is_available()):
        print("no CUDA here: nothing was measured (--dry-run tries the parts on the CPU)")
        return
    device = torch.device("cpu" if dry else "cuda")
    size = TINY if dry else Size()
    name = "CPU, a DRY RUN in tiny size: no figure says anything" if dry else torch.cuda.get_device_name()
    print(f"{name}; torch {torch.__version__}; batches of {size.batch:,}")
    print(f"\n{'':<22}{'':<16}{'training':>12}{'inference':>12}   samples/s")
    rows = [(f"Table 5, width {width}", replace(size, width=width)) for width in WIDTHS]
    rows += [(f"Table 6, {length} segments", replace(size, segments=length)) for length in LENGTHS]
    whole = 0.0
    for title, own in rows[:1] if dry else rows:
        for way in WAYS:
            if way.compiled and own not in (size, rows[0][1] if dry else size):
                continue  # compiled once, in the default sizes: it takes a minute
            training, inference = speeds(own, way, device, eager=dry)
            whole = training if way.name == "bf16, fused" else whole
            print(f"{title:<22}{way.name:<16}{training:>12,.0f}{inference:>12,.0f}", flush=True)
    parity(size, device)
    share(size.graph, whole)


def speeds(size: Size, way: Way, device: torch.device, eager: bool) -> tuple[float, float]:
    """Samples a second of training and of inference.

    Args:
        eager: compile without a compiler's back end.
    """
    torch.manual_seed(0)
    model = Pairs(size, way.bf16).to(device)
    pairs, labels = batch(size, device)
    called = torch.compile(model, backend="eager" if eager else "inductor") if way.compiled else model
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    with sdpa_kernel(SDPBackend.MATH) if way.plain else nullcontext():
        training = median_seconds(lambda: step(called, adam, pairs, labels), size, device)
        model.eval()
        with torch.inference_mode():
            inference = median_seconds(lambda: called(*pairs), size, device)
    return size.batch / training, size.batch / inference


def step(
    model: Callable[..., torch.Tensor],
    adam: torch.optim.Optimizer,
    pairs: tuple[UserSide, AuthorSide],
    labels: torch.Tensor,
) -> torch.Tensor:
    """One training step; returns its loss."""
    adam.zero_grad(set_to_none=True)
    loss = F.binary_cross_entropy_with_logits(model(*pairs), labels)
    loss.backward()
    adam.step()
    return loss.detach()


def median_seconds(work: Callable[[], object], size: Size, device: torch.device) -> float:
    """Median time of a step, after those that warm up."""
    times = []
    for turn in range(size.warm_up + size.steps):
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if turn >= size.warm_up:
            times.append(time.perf_counter() - begun)
    return float(np.median(times))


def batch(size: Size, device: torch.device) -> tuple[tuple[UserSide, AuthorSide], torch.Tensor]:
    """Random sides of ``size.batch`` pairs, and labels that depend on them."""
    drawn = torch.Generator(device).manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(size.batch, *shape, generator=drawn, device=device)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(size.batch, *shape, generator=drawn, device=device) < 0.9

    neighbours = {}
    for side in "ua":
        paths = sum(name[0] == side for name in PAPER_METAPATHS)
        counts = torch.full((size.batch, paths), 50.0, device=device)
        neighbours[side] = {"neighbours": normal(paths, size.width), "neighbour_count": counts}
    names = ("visual", "speech", "comment")
    own, authors = normal(size.width), normal(size.width)
    user = UserSide(own, normal(size.history, size.width), some(size.history), **neighbours["u"])
    author = AuthorSide(
        authors,
        queries=normal(4, size.width),
        seen=torch.ones(size.batch, dtype=torch.bool, device=device),
        segments={name: normal(size.segments, 1, size.modality) for name in names},
        segment_mask={name: some(size.segments) for name in names},
        **neighbours["a"],
    )
    told = (own * authors).sum(dim=1)
    return (user, author), (told > 0).float()


def parity(size: Size, device: torch.device) -> None:
    """Prints how far bf16 is from fp32."""
    pairs, labels = batch(size, device)
    logits, losses = {}, {}
    for bf16 in (False, True):
        torch.manual_seed(0)
        model = Pairs(size, bf16).to(device)
        adam = torch.optim.Adam(model.parameters(), lr=1e-3)
        with torch.inference_mode():
            logits[bf16] = model.eval()(*pairs).cpu().numpy()
        model.train()
        losses[bf16] = [float(step(model, adam, pairs, labels)) for _ in range(5 * size.steps)][-1]
    apart = np.abs(logits[True] - logits[False]).max() / logits[False].std()
    ranks = spearmanr(logits[True], logits[False]).statistic
    print(
        f"\nbf16 against fp32: logits differ by at most {apart:.4f} of their deviation, rank correlation {ranks:.5f}; "
        f"loss after {5 * size.steps} steps {losses[True]:.4f} against {losses[False]:.4f}"
    )


def share(scale: float, samples_a_second: float) -> None:
    """Prints the graph stage's share of a training on the TikTok data's size, or on ``scale`` of it."""
    users, items, n_users, n_items = draw(scale, 0.75, 0)
    compile_kernels()
    begun = time.perf_counter()
    u2a = donation_graph(users, items, None, n_users, n_items)
    a2a = swing(u2a)
    for name in PAPER_METAPATHS:
        expand(Metapath.parse(name), u2a, a2a, top_k=50)
    graph = time.perf_counter() - begun
    training = EPOCHS * DRAWS * scale / samples_a_second
    print(
        f"graph stage of {u2a.nnz:,} edges, on the CPU: {graph:.1f} s, {graph / (graph + training):.0%} of it and "
        f"{EPOCHS} epochs of {int(DRAWS * scale):,} samples ({training:.1f} s, bf16, the dense part alone)"
    )


if __name__ == "__main__":
    main()
