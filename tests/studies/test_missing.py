"""`mmbee study missing`: every change is scored, beside the backbone alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments import making
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.studies.degraded import without
from mmbee_plugin.studies.missing import INTACT, bare_job, measure, missing_figure, planned


def test_the_plan_has_each_modality_and_all_at_once():
    changes = planned(["visual", "speech"], [1, 0.5], [2])
    assert [str(one) for one in changes] == [
        *("visual missing, 50%", "visual missing, 100%", "visual, noise 2"),
        *("speech missing, 50%", "speech missing, 100%", "speech, noise 2"),
        *("all missing, 50%", "all missing, 100%"),
    ]
    assert not [one for one in planned(["visual"], [1], [1]) if one.modality == "all"]
    for rates, levels in (([0], []), ([1.5], []), ([], [-1])):
        with pytest.raises(InputError, match=r"--(rates|noise) \S+: a (share|number) above 0"):
            planned(["visual"], rates, levels)


def test_every_change_is_scored_and_set_against_the_bare_model(live_checkpoint, check_answer):
    trained = open_trained(live_checkpoint(interest="none"))
    samples, alone = trained.samples("test"), np.random.default_rng(0).random(120)
    study = measure(trained, planned(["visual", "speech"], [1], [1]), ("SIM", alone))
    assert list(study.rows) == [
        *(INTACT, "visual missing, 100%", "visual, noise 1", "speech missing, 100%", "speech, noise 1"),
        *("all missing, 100%", "SIM"),
    ]
    with without(trained.network, ["visual"]):
        expected = samples.pooled(trained.scores("test"))
    found = study.rows["visual missing, 100%"]
    assert {name: value for name, [value] in found.pooled.items()} == expected
    assert found.gains["auc"] == pytest.approx(expected["auc"] - samples.pooled(alone)["auc"])
    said, sheet, plot = missing_figure(study)
    check_answer(said, sheet, plot)
    assert len(sheet.rows) == 7 and all(len(row) == len(sheet.headings) for row in sheet.rows)
    lines = [note for note in sheet.notes if note.startswith("AUC with any one modality gone")]
    gains = [study.rows[f"{name} missing, 100%"].gains["auc"] for name in ("visual", "speech")]
    assert ("not above SIM" in lines[0]) == (min(gains) <= 0)
    assert {trace.name for trace in plot.figure.data} == {"visual", "speech", "all"}

    def verdict(study, **metrics):
        rows = {
            name: replace(one, gains={**one.gains, "auc": gain}, p_values={**one.p_values, "auc": p})
            for (name, one), (gain, p) in zip(
                ((name, study.rows[name]) for name in ("visual missing, 100%", "speech missing, 100%")),
                metrics["auc"],
                strict=True,
            )
        }
        notes = missing_figure(replace(study, rows={**study.rows, **rows}))[1].notes
        return next(note for note in notes if note.startswith("AUC with any one")).partition(": ")[2]

    assert verdict(study, auc=((0.1, 0.001), (0.2, 0.04))) == (
        "above SIM (least gain +10.00 %, largest p 0.040)."
    )
    assert verdict(study, auc=((0.1, 0.41), (0.2, 0.001))) == (
        "above SIM, but not beyond chance, without visual (least gain +10.00 %, largest p 0.410)."
    )
    assert verdict(study, auc=((-0.1, 0.001), (0.2, 0.41))) == (
        "not above SIM without visual; above, but not beyond chance, without speech (least gain -10.00 %, "
        "largest p 0.410)."
    )
    assert verdict(replace(study, tested=False), auc=((0.1, 0.41), (0.2, 0.001))) == (
        "above SIM (least gain +10.00 %)."
    )


def test_the_command_trains_the_backbone_alone_with_the_settings_of_the_checkpoint(
    live_checkpoint, tmp_path, monkeypatch, mmbee
):
    path = live_checkpoint(interest="none", backbone="sim", short_length=3, epochs=1, seed=5)
    name, job = bare_job(open_trained(path))
    settings = job.key["settings"]
    assert (name, job.key["seed"]) == ("SIM", 5)
    assert [settings[key] for key in ("content", "interest", "short_length", "embedding_size")] == [
        *("none", "none"),
        *(3, 8),
    ]

    def in_this_process(jobs, store, processes, show, fresh):
        return [one.work(*one.arguments) for one in jobs]

    monkeypatch.setattr(making, "make_cells", in_this_process)
    out = tmp_path / "missing.html"
    status, printed, _ = mmbee("study", "missing", path, "--rates=1", "--noise=1", f"--out={out}")
    assert status == 0
    assert "SIMULATED" in printed and "GAUC with any one modality gone" in printed
    page = out.read_text()
    assert "speech missing, 100%" in page and "<script src" not in page
    with pytest.raises(InputError, match="without content has no modality"):
        bare_job(open_trained(live_checkpoint(interest="none", content="none")))
