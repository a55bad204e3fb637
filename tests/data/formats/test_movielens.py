from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from mmbee_plugin.builtin import sample
from mmbee_plugin.data.formats import movielens
from mmbee_plugin.data.formats.movielens import title_and_genre_bags
from mmbee_plugin.errors import InputError

needs_recbole = pytest.mark.skipif(
    importlib.util.find_spec("recbole") is None, reason="RecBole is not installed"
)


def test_bags_of_titles_and_genres():
    bag = title_and_genre_bags(["Ed's Drama (1995)", "Été 1900", ""], ["Drama Sci-Fi", "", ""])
    # 1900, drama, ed's, genre:drama, genre:sci-fi, été
    assert bag.vocabulary == 6
    assert bag.indptr.tolist() == [0, 4, 6, 6] and bag.words.tolist() == [2, 1, 3, 4, 5, 0]
    assert bag.present.tolist() == [True, True, False]


@needs_recbole
def test_writes_movielens_in_order_of_time(tmp_path):
    folder = sample.ensure("ml-100k", tmp_path)
    folder.validate_interactions()
    assert folder.counts == {"users": 943, "items": 1682, "interactions": 100_000}
    assert (folder.kind, folder.ordered, folder.splits) == ("real", True, None)
    rows = folder.interactions()
    assert (np.diff(rows.timestamps) >= 0).all() and set(rows.ratings) == {1, 2, 3, 4, 5}
    assert rows.timestamps[0] == 874724710
    header = (folder.path / "ml-100k.user").read_text().splitlines()[0]
    assert header.startswith("user_id:token\tage:token\tgender:token")
    assert "Toy Story" in (folder.path / "ml-100k.item").read_text().splitlines()[1]
    bag = folder.features("text")
    assert len(bag.words) > 5 * 943 and bag.present.sum() >= 1681
    # Toy Story shares a genre with other cartoons: its first item row is item "1".
    assert folder.item_tokens[0] == "1" and bag.indptr[1] == 4 + 1


@needs_recbole
def test_does_not_import_recbole(tmp_path):
    code = f"""
import sys
from pathlib import Path
from mmbee_plugin.data.formats import movielens
movielens.write(Path({str(tmp_path / "ml-100k")!r}))
assert not {{"recbole", "torch"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_recbole(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install recbole"):
        movielens.write(tmp_path / "ml-100k")
    assert not (tmp_path / "ml-100k").exists()


@needs_recbole
@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("ml-100k.user", "user_id:token\tage:token\n1\n", r"ml-100k\.user, line 2: 1 columns"),
        ("ml-100k.item", "item_id:token\n242\n", "no column 'movie_title:token_seq'"),
        (
            "ml-100k.inter",
            "user_id:token\titem_id:token\n196\t242\n",
            "rating:float and timestamp:float are needed",
        ),
        (
            "ml-100k.user",
            "user_id:token\n196\n",
            r"ml-100k\.inter, line 3, column user_id:token: '186' is unknown",
        ),
    ],
)
def test_damaged_files(tmp_path, monkeypatch, file, text, message):
    source = movielens._example_folder()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("ml-100k.inter", "ml-100k.user", "ml-100k.item"):
        (copy / name).write_bytes((source / name).read_bytes())
    (copy / file).write_text(text)
    monkeypatch.setattr(movielens, "_example_folder", lambda: copy)
    with pytest.raises(InputError, match=message):
        movielens.write(tmp_path / "ml-100k")
