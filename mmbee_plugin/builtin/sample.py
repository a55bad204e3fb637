"""Data sets that need no download: a generated sample of TikTok's schema, and `ensure` to get one by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmbee_plugin.data.features import BagFeatures, bag_from_pairs
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import movielens
from mmbee_plugin.data.formats.numbered import number_tokens
from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions, SourceFeatures, write_folder
from mmbee_plugin.errors import InputError

SEED = 2024
USERS, ITEMS, CLUSTERS, WIDTH = 600, 400, 10, 128
COLD, WITHOUT_TEXT, WITHOUT_ACOUSTIC = 20, 24, 16
VOCABULARY, WORDS_OF_CLUSTER = 600, 40

GET_REAL = (
    "This is a generated sample with the schema of TikTok. For the real data, get the TikTok files of MMGCN "
    "(train.npy, val_full.npy, test_full.npy; visual, acoustic and text features) or of MMSSL or DiffMM "
    "(trnMat.pkl, valMat.pkl, tstMat.pkl; image_feat.npy, audio_feat.npy) from their authors, then run: "
    "mmbee data convert mmgcn FOLDER datasets/tiktok, or: mmbee data convert hkuds FOLDER datasets/tiktok"
)


def ensure(name: str, root: Path) -> DatasetFolder:
    """Opens the dataset `root/name`; makes it first where that needs no download ("tiktok": a sample; "ml-100k";
    "livesim": simulated, which takes about a minute).

    Raises InputError that lists the known names for any other.
    """
    known = sorted({path.name for path in root.glob("*/") if any(path.glob("*.inter"))} | set(_MAKERS))
    folder = root / name
    if name not in known:
        raise InputError(f"dataset {name!r} is unknown in {root}; known: {', '.join(known)}")
    if not any(folder.glob("*.inter")):
        try:
            _MAKERS[name](folder)
        except InputError:
            # Another process may have made it in the meantime.
            if not any(folder.glob("*.inter")):
                raise
    return DatasetFolder(folder)


def write(folder: Path, schema: str = "tiktok") -> None:
    """Writes the generated sample: 600 users x 400 items, about 6,000 interactions, the same on every
    machine.

    Planted: ten item clusters, which shape all three modalities, and users with a taste for one to three of
    them. So content and the graph both predict, and popularity does too. Some items lack text or acoustic;
    cold items occur in validation and test only.
    """
    if schema != "tiktok":
        raise InputError(f"sample schema {schema!r} is unknown; known: tiktok")
    rng = np.random.default_rng(SEED)
    cluster = rng.permutation(np.arange(ITEMS) % CLUSTERS)
    popularity = rng.permutation(1.0 / np.arange(1, ITEMS + 1) ** 0.6)
    cold = rng.choice(ITEMS, COLD, replace=False)
    popularity[cold] = np.median(popularity)
    visual = np.maximum(_around_centres(rng, cluster), 0.0) * 3.5  # the real vectors are not negative either
    acoustic = _around_centres(rng, cluster)
    acoustic[rng.choice(ITEMS, WITHOUT_ACOUSTIC, replace=False)] = 0.0
    content = DatasetContent(
        source="generated: a synthetic sample with TikTok's schema",
        kind="sample",
        users=number_tokens(USERS),
        items=number_tokens(ITEMS),
        interactions=_interactions(rng, cluster, popularity, cold),
        features={
            "visual": SourceFeatures(visual.astype(np.float32), "visual"),
            "acoustic": SourceFeatures(acoustic.astype(np.float32), "acoustic"),
            "text": _text(rng, cluster),
        },
        get_real=GET_REAL,
    )
    write_folder(folder, content)


def _around_centres(rng: np.random.Generator, cluster: np.ndarray) -> np.ndarray:
    """(n_items, 128): the centre of the item's cluster plus as much noise again, and half."""
    centres = rng.normal(size=(CLUSTERS, WIDTH))
    return centres[cluster] + 1.5 * rng.normal(size=(len(cluster), WIDTH))


def _text(rng: np.random.Generator, cluster: np.ndarray) -> BagFeatures:
    """Bags of 4 to 12 words, half of them from the cluster's own 40 words, and 24 empty ones."""
    sizes = rng.integers(4, 13, size=len(cluster))
    sizes[rng.choice(len(cluster), WITHOUT_TEXT, replace=False)] = 0
    rows = np.repeat(np.arange(len(cluster)), sizes)
    own = cluster[rows] * WORDS_OF_CLUSTER + rng.integers(WORDS_OF_CLUSTER, size=len(rows))
    common = rng.integers(CLUSTERS * WORDS_OF_CLUSTER, VOCABULARY, size=len(rows))
    words = np.where(rng.random(len(rows)) < 0.5, own, common)
    return bag_from_pairs(rows, words, len(cluster), VOCABULARY)


def _interactions(
    rng: np.random.Generator, cluster: np.ndarray, popularity: np.ndarray, cold: np.ndarray
) -> dict[str, Interactions]:
    """Every user's items, one held out for validation, one for test; no cold item in training."""
    taste = rng.dirichlet(np.full(CLUSTERS, 0.12), size=USERS) + 0.01  # (n_users, CLUSTERS)
    pairs: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
    for user in range(USERS):
        chance = taste[user, cluster] * popularity
        size = int(np.clip(rng.lognormal(mean=2.25, sigma=0.5), 4, 60))
        items = rng.choice(ITEMS, size, replace=False, p=chance / chance.sum())
        is_cold = np.isin(items, cold)
        valid, test = [*items[is_cold], *items[~is_cold]][:2]
        pairs["valid"].append((user, valid))
        pairs["test"].append((user, test))
        pairs["train"].extend((user, item) for item in items[~is_cold] if item not in (valid, test))
    arrays = {split: np.array(rows, dtype=np.int64) for split, rows in pairs.items()}
    return {split: Interactions(rows[:, 0], rows[:, 1]) for split, rows in arrays.items()}


def _write_livesim(folder: Path) -> None:
    from mmbee_plugin.livesim import dataset  # polars only where it is needed

    dataset.write(folder)


_MAKERS: dict[str, Callable[[Path], None]] = {
    "tiktok": write,
    "ml-100k": movielens.write,
    "livesim": _write_livesim,
}
