"""SIM, DIN and DIEN: padding, empty histories, exact top-K search, the auxiliary task, and that they learn."""

import pytest
import torch

from mmbee_plugin.modules import DIEN, DIN, SIM, SIMSettings, UserSide

WIDTH = 16


def backbones():
    return {
        "din": DIN(WIDTH),
        "dien": DIEN(WIDTH),
        "sim": SIM(SIMSettings(width=WIDTH, searched=5)),
        "sim_short": SIM(SIMSettings(width=WIDTH, searched=5, short_length=3, gaps=8)),
    }


@pytest.mark.parametrize("name", ["din", "dien", "sim", "sim_short"])
def test_padding_does_not_matter(make_user, name):
    backbone, side = backbones()[name], make_user(gaps=8)
    author = torch.randn(1, 6, WIDTH)
    before = backbone.cross(backbone.remember(side), author)
    assert before.shape == (5, 6, backbone.cross_width)
    side.history = torch.where(side.history_mask.unsqueeze(2), side.history, torch.randn(WIDTH) * 50)
    assert torch.allclose(before, backbone.cross(backbone.remember(side), author), atol=1e-5)
    assert before.isfinite().all()


@pytest.mark.parametrize("name", ["din", "dien", "sim"])
def test_an_empty_history_gives_the_learned_vector(make_user, name):
    backbone, side = backbones()[name], make_user()
    out = backbone.cross(backbone.remember(side), torch.randn(1, 2, WIDTH))
    assert torch.allclose(out[0], backbone.empty.expand(2, -1))


@pytest.mark.parametrize("name", ["din", "dien", "sim", "sim_short"])
def test_shared_targets_equal_targets_of_their_own(make_user, name):
    backbone, side = backbones()[name], make_user(gaps=8)
    memory, authors = backbone.remember(side), torch.randn(6, WIDTH)
    shared = backbone.cross(memory, authors[None])
    own = backbone.cross(memory, authors[None].expand(5, -1, -1).contiguous())
    assert torch.allclose(shared, own, atol=1e-5)


def test_search_keeps_exactly_the_k_most_relevant(make_user):
    """Behaviours outside the brute-force top K have no influence; each inside has."""
    sim, side = SIM(SIMSettings(width=WIDTH, searched=5)), make_user(batch=2, history=12)
    side.history_mask[:] = True
    author = torch.randn(1, 1, WIDTH)
    relevance = (sim.search_behaviour(side.history[0]) @ sim.search_author(author[0, 0])).tolist()
    best = set(sorted(range(12), key=lambda j: -relevance[j])[:5])
    behaviours = side.history.clone().requires_grad_()
    memory = sim.remember(side)
    memory["behaviours"] = behaviours
    sim.cross(memory, author)[0].sum().backward()
    touched = {j for j in range(12) if behaviours.grad[0, j].abs().sum() > 0}
    assert touched == best


def test_the_short_part_is_left_out_of_the_search(make_user):
    sim, side = SIM(SIMSettings(width=WIDTH, searched=50, short_length=3)), make_user(batch=2, history=8)
    side.history_mask[:] = True
    memory = sim.remember(side)
    assert torch.equal(memory["recent"][0], side.history[0, 5:].flip(0))
    assert memory["mask"][0].tolist() == [True] * 5 + [False] * 3


def test_search_weights_learn_from_the_auxiliary_task_alone(make_user):
    sim, side = SIM(SIMSettings(width=WIDTH, searched=5)), make_user(history=12)
    author = torch.randn(5, 4, WIDTH)
    memory = sim.remember(side)
    sim.cross(memory, author).sum().backward()
    assert sim.search_author.weight.grad is None
    sim.auxiliary_loss(memory, author, torch.ones(5, 4)).backward()
    assert sim.search_author.weight.grad.abs().sum() > 0
    assert sim.search_behaviour.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["din", "dien", "sim"])
def test_it_learns_whether_the_target_resembles_the_history(name):
    """Planted: a positive is near one of the behaviours. The history's mean cannot tell; target attention can."""
    backbone = backbones()[name]
    head = torch.nn.Sequential(
        torch.nn.Linear(backbone.cross_width + WIDTH, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1)
    )
    optimiser = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=3e-3)
    prototypes = torch.eye(WIDTH) * 3

    def batch(rows):
        kinds = torch.stack([torch.randperm(WIDTH)[:5] for _ in range(rows)])
        inside = kinds[:, :1]
        outside = kinds[:, 4:]
        return prototypes[kinds[:, :4]], prototypes[torch.cat([inside, outside], dim=1)]

    def logits(history, targets):
        mask = torch.ones(history.shape[:2], dtype=torch.bool)
        memory = backbone.remember(UserSide(torch.zeros(len(history), WIDTH), history, mask))
        return head(torch.cat([backbone.cross(memory, targets), targets], dim=2)).squeeze(2)

    labels = torch.tensor([1.0, 0.0])
    for _ in range(250):
        scores = logits(*batch(64))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels.expand_as(scores))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    scores = logits(*batch(500))
    assert (scores[:, 0] > scores[:, 1]).float().mean() > 0.85
