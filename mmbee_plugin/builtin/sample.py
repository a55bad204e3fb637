"""Generates a sample with TikTok's schema; opens or makes the data sets that need no download (`ensure`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from mmbee_plugin.data.features import BagFeatures, bag_from_pairs
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import movielens
from mmbee_plugin.data.formats.numbered import number_tokens
from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions, SourceFeatures, write_folder
from mmbee_plugin.errors import InputError

SEED = 2024
USERS, CIRCLES, SHARED = 600, 100, 10
TOPICS, NEW = 12, 8
HELD_OUT_NEW = 0.7
ITEMS = CIRCLES * SHARED + USERS + TOPICS * NEW
WITHOUT_TEXT, WITHOUT_ACOUSTIC = 100, 70
WIDTH, NOISE = 128, 0.6
WORDS_OF_TOPIC, VOCABULARY = 40, 600

GET_REAL = (
    "This is a generated sample with the schema of TikTok. For the real data, get the TikTok files of MMGCN "
    "(train.npy, val_full.npy, test_full.npy; visual, acoustic and text features) or of MMSSL or DiffMM "
    "(trnMat.pkl, valMat.pkl, tstMat.pkl; image_feat.npy, audio_feat.npy) from their authors, then run: "
    "mmbee data convert mmgcn FOLDER datasets/tiktok, or: mmbee data convert hkuds FOLDER datasets/tiktok"
)


def ensure(name: str, root: Path) -> DatasetFolder:
    """Opens the dataset `root/name`; first makes it if it is missing and one of "tiktok" (a generated sample),
    "ml-100k", "livesim" or "livesim2" (simulated, a minute or two).

    Raises InputError for an unknown name; lists the known ones.
    """
    known = sorted({path.name for path in root.glob("*/") if any(path.glob("*.inter"))} | set(_MAKERS))
    folder = root / name
    if name not in known:
        raise InputError(f"dataset {name!r} is unknown in {root}; known: {', '.join(known)}")
    if not any(folder.glob("*.inter")):
        try:
            _MAKERS[name](folder)
        except InputError:
            # Another process may have made it meanwhile.
            if not any(folder.glob("*.inter")):
                raise
    return DatasetFolder(folder)


def write(folder: Path, schema: str = "tiktok") -> None:
    """Writes the generated sample: 600 users x 1,696 items, 5,155 interactions, the same on every machine.

    Two kinds of interactions are planted, so that switching off a part of the model lowers its metrics:

    * Circles, for the graph (GIE). Six users share ten items whose content is noise; each user has three to eight of
      them in training.
    * Topics, for content (MFQ). The users of a circle like one of twelve topics, which the item's visual, acoustic and
      text features show, each with its own noise. In training a user has one item of the topic that nobody else has;
      eight new items per topic have no training row.

    Each user has one validation and one test item: with probability 0.7 a new item of the topic, else an item of the
    circle. Popularity does not predict them. Some items lack text or acoustic features.

    Raises InputError for another schema, or as `write_folder`.
    """
    if schema != "tiktok":
        raise InputError(f"sample schema {schema!r} is unknown; known: tiktok")
    rng = np.random.default_rng(SEED)
    circle = rng.permutation(np.arange(USERS) % CIRCLES)  # of each user
    topic = circle % TOPICS
    numbers = rng.permutation(ITEMS)
    shared = numbers[: CIRCLES * SHARED].reshape(CIRCLES, SHARED)
    own, new = np.split(numbers[CIRCLES * SHARED :], [USERS])
    shown = np.full(ITEMS, TOPICS)  # topic of each item; TOPICS: none
    shown[own], shown[new] = topic, np.repeat(np.arange(TOPICS), NEW)
    visual = np.maximum(_around_centres(rng, shown), 0.0) * 3.5  # non-negative, as the real vectors
    acoustic = _around_centres(rng, shown)
    acoustic[rng.choice(ITEMS, WITHOUT_ACOUSTIC, replace=False)] = 0.0
    content = DatasetContent(
        source="generated: a synthetic sample with TikTok's schema",
        kind="sample",
        users=number_tokens(USERS),
        items=number_tokens(ITEMS),
        interactions=_interactions(rng, shared[circle], own, new.reshape(TOPICS, NEW)[topic]),
        features={
            "visual": SourceFeatures(visual.astype(np.float32), "visual"),
            "acoustic": SourceFeatures(acoustic.astype(np.float32), "acoustic"),
            "text": _text(rng, shown),
        },
        get_real=GET_REAL,
    )
    write_folder(folder, content)


def _around_centres(rng: np.random.Generator, topic: np.ndarray) -> np.ndarray:
    """(n_items, 128): centre of the item's topic (0 without one) plus noise."""
    centres = np.append(rng.normal(size=(TOPICS, WIDTH)), np.zeros((1, WIDTH)), axis=0)
    return centres[topic] + NOISE * rng.normal(size=(len(topic), WIDTH))


def _text(rng: np.random.Generator, topic: np.ndarray) -> BagFeatures:
    """Bags of 4 to 12 words; with a topic about half come from its own 40 words. 100 bags are empty."""
    sizes = rng.integers(4, 13, size=len(topic))
    sizes[rng.choice(len(topic), WITHOUT_TEXT, replace=False)] = 0
    rows = np.repeat(np.arange(len(topic)), sizes)
    own = topic[rows] * WORDS_OF_TOPIC + rng.integers(WORDS_OF_TOPIC, size=len(rows))
    common = rng.integers(TOPICS * WORDS_OF_TOPIC, VOCABULARY, size=len(rows))
    words = np.where((topic[rows] < TOPICS) & (rng.random(len(rows)) < 0.5), own, common)
    return bag_from_pairs(rows, words, len(topic), VOCABULARY)


def _interactions(
    rng: np.random.Generator, shared: np.ndarray, own: np.ndarray, new: np.ndarray
) -> dict[str, Interactions]:
    """Draws the rows of each split from each user's circle items (USERS, SHARED), own item (USERS,) and new topic items
    (USERS, NEW)."""
    pairs: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
    for user in range(USERS):
        of_circle, of_topic = rng.permutation(shared[user]), rng.permutation(new[user])
        taken = rng.integers(3, SHARED - 1)
        pairs["train"] += [(user, item) for item in (own[user], *of_circle[:taken])]
        for split, shared_one, new_one in zip(("valid", "test"), of_circle[-2:], of_topic[:2], strict=True):
            pairs[split].append((user, new_one if rng.random() < HELD_OUT_NEW else shared_one))
    arrays = {split: np.array(rows, dtype=np.int64) for split, rows in pairs.items()}
    return {split: Interactions(rows[:, 0], rows[:, 1]) for split, rows in arrays.items()}


def _write_livesim(folder: Path, world: int) -> None:
    from mmbee_plugin.livesim import dataset, worlds  # imports polars

    dataset.write(folder, worlds.WORLDS[world]())


_MAKERS: dict[str, Callable[[Path], None]] = {
    "tiktok": write,
    "ml-100k": movielens.write,
    "livesim": partial(_write_livesim, world=1),
    "livesim2": partial(_write_livesim, world=2),
}
