"""DIEN: the recurrence against a plain loop, and the auxiliary task against its definition."""

import math

import torch

from mmbee_plugin.modules import DIEN
from mmbee_plugin.modules.dien import AUGRU

WIDTH = 8


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def test_augru_equals_a_plain_loop():
    cell = AUGRU(WIDTH)
    hidden, relevance = torch.randn(3, 5, WIDTH), torch.rand(3, 2, 5)
    relevance[0, :, 2] = 0
    w, v = cell.from_input.weight.chunk(3), cell.from_state.weight.chunk(3)
    b = cell.from_input.bias.chunk(3)
    found = cell(cell.prepare(hidden), relevance)
    for user in range(3):
        for target in range(2):
            state = torch.zeros(WIDTH)
            for t in range(5):
                h, a = hidden[user, t], relevance[user, target, t]
                u = sigmoid(w[0] @ h + v[0] @ state + b[0])
                r = sigmoid(w[1] @ h + v[1] @ state + b[1])
                c = torch.tanh(w[2] @ h + b[2] + r * (v[2] @ state))
                state = (1 - a * u) * state + a * u * c
            assert torch.allclose(found[user, target], state, atol=1e-6)


def test_the_auxiliary_loss_by_hand(make_user, monkeypatch):
    """Rows of 0, 1, 3 and 4 behaviours; the other row is the next one in the batch."""
    side = make_user(batch=4, history=4, width=WIDTH)
    side.history_mask = torch.arange(4) < torch.tensor([0, 1, 3, 4])[:, None]
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([1]))
    dien = DIEN(WIDTH)
    memory = dien.remember(side)
    hidden, behaviours = memory["hidden"].tolist(), side.history.tolist()

    def term(row, t, negative):
        near = sum(a * b for a, b in zip(hidden[row][t], behaviours[row][t + 1], strict=True))
        far = sum(a * b for a, b in zip(hidden[row][t], negative, strict=True))
        return math.log(1 + math.exp(-near)) + math.log(1 + math.exp(far))

    # Row 3 takes from row 0, which is empty; row 2 from row 3, at the same steps.
    row_2 = sum(term(2, t, behaviours[3][t + 1]) for t in range(2)) / 2
    loss = dien.auxiliary_loss(memory, torch.randn(4, 1, WIDTH), torch.ones(4, 1))
    assert math.isclose(loss.item(), row_2 / 4, rel_tol=1e-5)
    # With three steps to fill from a history of three, the last takes its first behaviour: counted round.
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([3]))
    row_3 = [term(3, t, behaviours[2][(t + 1) % 3]) for t in range(3)]
    row_2 = [term(2, t, behaviours[1][0]) for t in range(2)]
    weights = torch.tensor([0.0, 0.5, 0.2, 0.3])
    loss = dien.auxiliary_loss(memory, torch.randn(4, 1, WIDTH), torch.ones(4, 1), weights)
    assert math.isclose(loss.item(), 0.2 * sum(row_2) / 2 + 0.3 * sum(row_3) / 3, rel_tol=1e-5)


def test_a_batch_without_another_row_has_nothing_to_tell_apart(make_user):
    dien, side = DIEN(WIDTH), make_user(batch=1, history=4, width=WIDTH)
    side.history_mask[:] = True
    loss = dien.auxiliary_loss(dien.remember(side), torch.randn(1, 1, WIDTH), torch.ones(1, 1))
    assert loss.item() == 0


def test_the_states_learn_from_the_auxiliary_task(make_user):
    dien = DIEN(WIDTH)
    memory = dien.remember(make_user(width=WIDTH))
    dien.auxiliary_loss(memory, torch.randn(5, 1, WIDTH), torch.ones(5, 1)).backward()
    assert all(p.grad.abs().sum() > 0 for p in dien.extract.parameters())
    assert dien.relevance.weight.grad is None
