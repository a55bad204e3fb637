from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name, cells in (("trnMat.pkl", [1, 1, 0]), ("valMat.pkl", [0, 1, 0]), ("tstMat.pkl", [0, 0, 1])):
        (folder / name).write_bytes(pickle.dumps(scipy.sparse.coo_matrix([cells, [0, 0, 1]])))
    np.save(folder / "image_feat.npy", np.array([[1, 2], [0, 0], [3, 4]], np.float32))
    return folder


SUMMARY = """\
toy (real): 2 users x 3 items, 8 interactions, train 3, valid 2, test 3; without time; \
source: hkuds files of the folder files
  visual: dense, width 2; missing for 1 of 3 items
"""


def test_convert_prints_what_is_there(mmbee, source, tmp_path):
    (source / "tstMat.pkl").write_bytes(pickle.dumps(scipy.sparse.coo_matrix([[0, 1, 1], [0, 0, 1]])))
    status, out, err = mmbee("data", "convert", "hkuds", source, tmp_path / "toy")
    assert (status, out) == (0, SUMMARY)
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert notes[0].startswith("note: features: visual is image_feat.npy, no acoustic") and len(notes) == 2
    assert [line for line in err.splitlines() if line not in notes] == [
        "warning: 2 of 2 valid pairs are in training as well; kept as given",
        "warning: 2 of 3 test pairs are in training as well; kept as given",
    ]


def test_info_prints_and_draws(mmbee, source, tmp_path, check_report):
    mmbee("data", "convert", "hkuds", source, tmp_path / "toy")
    picture = tmp_path / "toy.html"
    status, out, err = mmbee("data", "info", "toy", "--data-path", tmp_path, "--picture", picture)
    lines = out.splitlines()
    assert (status, err) == (0, "") and lines[0] == SUMMARY.splitlines()[0].replace(
        "8 inter", "7 inter"
    ).replace("test 3", "test 2")
    assert "warning: 2 of 2 valid pairs are in train as well" in lines and lines[-1] == f"picture: {picture}"
    html = check_report(picture)
    assert "Look at this before training on " in html and lines[0] in html
    assert "warning: 2 of 2 valid pairs are in train as well" in html
    status, out, err = mmbee("data", "info", "toy", "--data-path", tmp_path, "--picture", "toy.png")
    assert (status, out, err) == (2, "", "error: toy.png: a picture is an .html file\n")


def test_force(mmbee, source, tmp_path):
    convert = ("data", "convert", "hkuds", source, tmp_path / "toy")
    assert mmbee(*convert)[0] == 0
    status, out, err = mmbee(*convert)
    assert (
        (status, out) == (2, "") and err.startswith("error: ") and "--force" in err and err.count("\n") == 1
    )
    assert mmbee(*convert, "--force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("convert", "csv", ".", "toy"),
            "error: format 'csv' is unknown; "
            "known: hkuds, microlens, mmgcn, mmrec, movielens, kuailive, kuailive-m3, vtuber\n",
        ),
        (("convert", "hkuds", "none", "toy"), "error: none: no such folder to read from\n"),
        (
            ("info", "none", "--data-path", "."),
            "error: dataset 'none' is unknown in .; known: livesim, livesim2, ml-100k, tiktok\n",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(mmbee, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert mmbee("data", *arguments) == (2, "", message)
    assert not list(tmp_path.iterdir())


def test_a_source_without_training_rows_says_what_was_looked_for(mmbee, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = mmbee("data", "convert", "hkuds", ".", "toy")
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert err.startswith("error: .: no training file") and "trnMat.pkl" in err and "train.json" in err


def test_info_checks_every_row(mmbee, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "d.inter").write_text("user_id:token\titem_id:token\nu\ti\nu\tj\nu\n")
    status, _, err = mmbee("data", "info", "d", "--data-path", tmp_path)
    assert status == 2 and "d.inter, line 4: 1 columns, the header has 2" in err


def test_as_a_process(source, tmp_path):
    (source / "valMat.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    command = [sys.executable, "-m", "mmbee_plugin.cli", "data", "convert", "hkuds", source, tmp_path / "toy"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert "'os.system'" in ended.stderr and ended.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files"]
