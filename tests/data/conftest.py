"""Tiny files of every schema, written by the tests, and the real data where it is there."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from mmbee_plugin.data.writer import DatasetContent, Interactions, SourceFeatures

REAL = Path(__file__).parents[2].parent / "shared" / "data"

PAIRS = {
    "train": [(0, 0), (0, 1), (1, 1), (2, 3), (2, 0)],
    "valid": [(0, 2), (2, 1)],
    "test": [(1, 3)],
}


@pytest.fixture
def pairs() -> dict[str, list[tuple[int, int]]]:
    """Three users, four items."""
    return {split: list(rows) for split, rows in PAIRS.items()}


@pytest.fixture
def content() -> DatasetContent:
    """A dataset with one dense modality; the third item lacks it."""
    visual = np.arange(8, dtype=np.float32).reshape(4, 2)
    visual[2] = 0
    return DatasetContent(
        source="made by a test",
        kind="real",
        users=["ann", "bob", "cyd"],
        items=["w", "x", "y", "z"],
        interactions={split: Interactions(*np.array(rows).T) for split, rows in PAIRS.items()},
        features={"visual": SourceFeatures(visual, "visual")},
    )


@pytest.fixture
def hkuds(tmp_path: Path) -> Path:
    """DiffMM's form of `pairs`, with image and audio features."""
    folder = tmp_path / "hkuds"
    folder.mkdir()
    for name, rows in zip(("trnMat.pkl", "valMat.pkl", "tstMat.pkl"), PAIRS.values(), strict=True):
        users, items = np.array(rows).T
        matrix = scipy.sparse.coo_matrix((np.ones(len(rows), np.float32), (users, items)), shape=(3, 4))
        (folder / name).write_bytes(pickle.dumps(matrix))
    np.save(folder / "image_feat.npy", np.arange(8, dtype=np.float16).reshape(4, 2))
    np.save(folder / "audio_feat.npy", np.ones((4, 3), np.float32))
    return folder


@pytest.fixture
def mmssl(tmp_path: Path) -> Path:
    """MMSSL's form of `pairs`, with text features; a user without an item."""
    folder = tmp_path / "mmssl"
    folder.mkdir()
    for name, rows in zip(("train.json", "val.json", "test.json"), PAIRS.values(), strict=True):
        lists: dict[str, list[int]] = {"0": []}
        for user, item in rows:
            lists.setdefault(str(user), []).append(item)
        (folder / name).write_text(json.dumps(lists))
    np.save(folder / "text_feat.npy", np.ones((4, 3), np.float64))
    return folder


@pytest.fixture
def write_mmgcn(tmp_path: Path) -> Callable[..., Path]:
    """Writes MMGCN's form of `pairs`, items counted from `offset`, under one of its spellings."""

    def write(
        offset: int = 0, train: str = "train.npy", valid: str = "val_full.npy", test: str = "test_full.npy"
    ) -> Path:
        folder = tmp_path / f"mmgcn-{offset}-{train}"
        folder.mkdir()
        np.save(folder / train, np.array([(user, item + offset) for user, item in PAIRS["train"]]))
        for name, rows in ((valid, PAIRS["valid"]), (test, PAIRS["test"])):
            lists = [[user, *(item + offset for other, item in rows if other == user)] for user in range(3)]
            np.save(folder / name, np.array(lists, dtype=object), allow_pickle=True)
        return folder

    return write


@pytest.fixture
def mmrec(tmp_path: Path) -> Path:
    """MMRec's form of `pairs`, with ratings, time and image features."""
    folder = tmp_path / "baby"
    folder.mkdir()
    lines = ["userID\titemID\trating\ttimestamp\tx_label"]
    for label, rows in enumerate(PAIRS.values()):
        lines += [f"{user}\t{item}\t{item + 1}.0\t{100 + user}\t{label}" for user, item in rows]
    (folder / "baby.inter").write_text("\n".join(lines) + "\n")
    np.save(folder / "image_feat.npy", np.ones((5, 3), np.float32))
    return folder


@pytest.fixture
def microlens(tmp_path: Path) -> Path:
    """MicroLens's form: pairs with times in milliseconds, and titles; videos 1 and 2 are called the same."""
    folder = tmp_path / "microlens"
    folder.mkdir()
    rows = [(1, 1), (1, 2), (1, 3), (2, 9), (2, 1), (2, 2), (2, 3)]
    lines = [f"{user},{video},{1_659_500_000_000 + 60_000 * row}" for row, (user, video) in enumerate(rows)]
    (folder / "MicroLens-50k_pairs.csv").write_text("\n".join(["user,item,timestamp", *lines]) + "\n")
    (folder / "MicroLens-50k_titles.csv").write_text("item,title\n1,a red cat\n2,a red cat\n3,dogs\n4,fish\n")
    return folder


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    """MovieLens in GroupLens' form, in Latin-1: four ratings by two users, four films, of which one is unrated."""
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    ratings = ["7::20::5::978300760", "7::3::3::978302109", "2::20::4.5::978300100", "2::41::1::978300275"]
    films = [
        "3::Grumpier: Old::Men (1995)::Comedy|Romance",
        "20::Été (1998)::Drama",
        "30::Unseen (1999)::War",
    ]
    films.append("41::Jumanji (1995)::Adventure|Children's")
    users = ["2::M::56::16::70072", "7::F::1::10::48067"]
    for name, lines in (("ratings", ratings), ("movies", films), ("users", users)):
        (folder / f"{name}.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    return folder


@pytest.fixture
def real() -> Callable[[str], Path]:
    """The path to a real data set, or a skip that says why."""

    def find(name: str) -> Path:
        folder = REAL / name
        if not folder.exists():
            pytest.skip(f"{name}: public data without a clear licence; it is not part of the project")
        return folder

    return find
