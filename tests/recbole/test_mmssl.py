"""MMSSL: its critic, its generated graphs, and a resumed run of two optimizers."""

from __future__ import annotations

from pathlib import Path

import torch
from recbole.utils import get_trainer


def test_the_critic_has_an_optimizer_of_its_own(build_planted):
    model, config, (train, valid, _) = build_planted("MMSSL", epochs=2, critic_items=20)
    trainer = get_trainer(config["MODEL_TYPE"], "MMSSL")(config, model)
    ours, critics = (
        {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for optimizer in (trainer.optimizer, trainer.critic_optimizer)
    )
    assert critics == {id(weight) for weight in model.critic.parameters()}
    assert ours == {id(weight) for weight in model.parameters()} - critics
    start = [weight.clone() for weight in model.critic.parameters()]
    trainer.fit(train, valid, saved=False)
    assert not any(torch.equal(a, b) for a, b in zip(start, model.critic.parameters(), strict=True))


def test_the_critic_comes_to_tell_real_rows_from_made_ones(build_planted):
    model, _, (train, *_) = build_planted("MMSSL")
    optimizer = torch.optim.Adam(model.critic.parameters(), lr=0.01, betas=(0.5, 0.9))
    users = next(iter(train))["user_id"].unique()
    with torch.no_grad():
        views = model.views()
        made, real = model.generated_rows(views, users), model.real_rows(views, users)
    torch.testing.assert_close(made.norm(dim=1), torch.ones(len(made)))
    assert not (made * model.met(users).repeat(2, 1)).any()
    for _ in range(300):  # at first the penalty alone counts: 100 sigmoid starts far steeper than 1
        optimizer.zero_grad()
        model.critic_loss(made, real).backward()
        optimizer.step()
    model.critic.eval()
    assert model.critic(real).mean() > model.critic(made).mean() + 0.3


def test_the_critic_reads_the_rows_of_some_of_a_batchs_users(build_planted):
    model, _, (train, *_) = build_planted("MMSSL", critic_users=5)
    batch, heard = next(iter(train)), []
    judged = model.critic.frozen
    model.critic.frozen = lambda rows: heard.append(len(rows)) or judged(rows)
    model.calculate_loss(batch).backward()
    assert len(batch["user_id"].unique()) > 5 and heard == [5 * len(model.names)]


def test_generated_graphs_are_the_training_pairs_and_the_best_others(build_planted):
    model, *_ = build_planted("MMSSL", generated=5)
    training = set(zip(*(ids.tolist() for ids in model.pairs), strict=True))

    def pairs(edges):
        both = {(r, s) for r, s in zip(edges.receivers.tolist(), edges.senders.tolist(), strict=True)}
        assert both == {(s, r) for r, s in both}
        return {(user, item - model.n_users) for user, item in both if user < model.n_users}

    assert all(pairs(edges) == training for edges, _ in model.graphs())
    model.refresh_graphs()
    model.eval()
    views = model.views()
    for (edges, _), view in zip(model.graphs(), views.content, strict=True):
        users, items = model.split(view)
        scores = users @ items.T
        scores[:, 0] = -torch.inf
        scores[model.pairs] = -torch.inf
        expected = {
            (user, item) for user in range(1, model.n_users) for item in scores[user].topk(5).indices.tolist()
        }
        expected = {pair for pair in expected if scores[pair] > 0}
        assert expected and pairs(edges) == training | expected
    copy, *_ = build_planted("MMSSL", generated=5)
    copy.load_state_dict(model.state_dict())
    assert [pairs(edges) for edges, _ in copy.graphs()] == [pairs(edges) for edges, _ in model.graphs()]


def test_an_adversarial_run_resumes_to_the_same_weights(build_planted, tmp_path):
    weights = []
    for stops in ([4], [2, 4]):
        folder = str(tmp_path / str(len(stops)))
        for stop in stops:
            model, config, (train, valid, _) = build_planted(
                "MMSSL", epochs=stop, checkpoint_dir=folder, critic_items=20, learning_rate=0.01
            )
            trainer = get_trainer(config["MODEL_TYPE"], "MMSSL")(config, model)
            for last in Path(folder).glob("*-last.pth"):
                trainer.resume_checkpoint(last)
            trainer.fit(train, valid)
        weights.append(model.state_dict())
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key
