"""MMoE: its split first layers against the concatenated form, tasks, gradients, and that gates part the tasks."""

import torch

from mmbee_plugin.modules import MMoEHead


def test_split_layers_equal_the_concatenated_form():
    head = MMoEHead(6, 4, hidden=(5, 3), tasks=2, experts=3)
    user, author = torch.randn(4, 6), torch.randn(7, 4)
    expert = torch.cat([head.expert_user.weight, head.expert_author.weight], dim=1).unflatten(0, (3, 5))
    gate = torch.cat([head.gate_user.weight, head.gate_author.weight], dim=1).unflatten(0, (2, 3))
    bias = head.expert_user.bias.unflatten(0, (3, 5))
    found = head.pair(head.user(user), head.author(author)[None], None)
    assert found.shape == (4, 7, 2)
    for b in range(4):
        for c in range(7):
            x = torch.cat([user[b], author[c]])
            experts = torch.stack([torch.relu(expert[n] @ x + bias[n]) for n in range(3)])
            for k in range(2):
                mixed = torch.softmax(gate[k] @ x, dim=0) @ experts
                assert torch.allclose(found[b, c, k], head.towers[k](mixed)[0], atol=1e-5)


def test_the_first_tasks_alone_score_as_among_all():
    head = MMoEHead(6, 4, hidden=(5, 3), tasks=3, experts=2)
    user, author = head.user(torch.randn(4, 6)), head.author(torch.randn(4, 7, 4))
    every = head.pair(user, author, None)
    assert torch.allclose(head.pair(user, author, None, tasks=1), every[:, :, :1], atol=1e-6)


def test_every_parameter_gets_a_gradient():
    head = MMoEHead(6, 4, hidden=(16, 3), tasks=3, experts=4)
    head.pair(
        head.user(torch.randn(30, 6)), head.author(torch.randn(30, 5, 4)), None
    ).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())


def test_tasks_that_contradict_each_other_are_both_learnt():
    """One feature of the pair, the second task its opposite: one tower for both could not serve."""
    head = MMoEHead(4, 4, hidden=(8, 8), tasks=2, experts=4)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)

    def batch(rows):
        user, author = torch.randn(rows, 4), torch.randn(rows, 1, 4)
        label = (user[:, 0] + author[:, 0, 0] > 0).float()
        return user, author, torch.stack([label, 1 - label], dim=1)

    for _ in range(100):
        user, author, labels = batch(128)
        logits = head.pair(head.user(user), head.author(author), None).squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    user, author, labels = batch(500)
    right = (head.pair(head.user(user), head.author(author), None).squeeze(1) > 0) == (labels > 0)
    assert (right.float().mean(dim=0) > 0.9).all()
