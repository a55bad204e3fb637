"""Losses against their definitions, written out."""

import math

import torch

from mmbee_plugin.modules import losses


def test_binary_cross_entropy_by_hand():
    logits, labels = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.0])
    expected = (math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(-2.0))) / 2
    assert math.isclose(losses.binary_cross_entropy(logits, labels).item(), expected, rel_tol=1e-5)


def test_multi_task_by_hand():
    logits = torch.tensor([[0.3, 1.0, 2.0], [-2.0, 0.5, 1.0]], requires_grad=True)
    labels = torch.tensor([[1.0, -1.0, -1.0], [0.0, 1.0, -1.0]])
    mask = labels >= 0  # the third task is unlabelled throughout
    gift = (math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(-2.0))) / 2
    like = math.log(1 + math.exp(-0.5))
    loss = losses.multi_task(logits, labels, mask)
    assert math.isclose(loss.item(), gift + like, rel_tol=1e-5)
    loss.backward()
    assert (logits.grad[:, 2] == 0).all() and logits.grad[0, 1] == 0
    parts = [
        losses.multi_task(
            logits[b : b + 1], labels[b : b + 1], mask[b : b + 1], torch.tensor([[0.5, 1.0, 1.0]])
        )
        for b in range(2)
    ]
    assert torch.isclose(sum(parts), loss)


def test_bpr_by_hand():
    positive, negatives = torch.tensor([1.0, 0.0]), torch.tensor([[0.5, 2.0], [0.0, -1.0]])
    differences = [0.5, -1.0, 0.0, 1.0]
    expected = sum(math.log(1 + math.exp(-x)) for x in differences) / 4
    value = losses.bayesian_personalised_ranking(positive, negatives).item()
    assert math.isclose(value, expected, rel_tol=1e-5)


def test_sampled_softmax_by_hand():
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.1, -1.0]])
    target = torch.tensor([0, 1])
    allowed = torch.tensor([[False, True, False], [True, False, True]])  # the target is kept whatever it says
    log_expected = torch.log(torch.tensor([0.5, 1.0, 2.0]))
    corrected = (logits - log_expected).tolist()
    rows = [
        -corrected[0][0] + math.log(math.exp(corrected[0][0]) + math.exp(corrected[0][1])),
        -corrected[1][1] + math.log(sum(math.exp(x) for x in corrected[1])),
    ]
    value = losses.sampled_softmax(logits, target, allowed, log_expected).item()
    assert math.isclose(value, sum(rows) / 2, rel_tol=1e-5)


def test_expected_draws_by_hand():
    found = losses.log_expected_draws(torch.tensor([3.0, 0.0]), 12, rows=8, draws=16, n_authors=4)
    torch.testing.assert_close(found, torch.log(torch.tensor([8 * 3 / 12 + 16 / 4, 16 / 4])))


def test_weighted_parts_add_up_to_the_mean():
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.eye(6, 3)
    target, allowed, expected = labels.argmax(dim=1), torch.ones(6, 3, dtype=torch.bool), torch.zeros(3)
    arguments = {
        losses.binary_cross_entropy: lambda rows: (logits[rows], labels[rows]),
        losses.bayesian_personalised_ranking: lambda rows: (logits[rows, 0], logits[rows, 1:]),
        losses.sampled_softmax: lambda rows: (logits[rows], target[rows], allowed[rows], expected),
    }
    for loss, part in arguments.items():
        whole = loss(*part(slice(None)))
        parts = [loss(*part(rows), weights=torch.full((3,), 1 / 6)) for rows in (slice(3), slice(3, 6))]
        torch.testing.assert_close(sum(parts), whole)
        none = loss(*part(slice(3)), weights=torch.zeros(3))
        assert none.item() == 0
