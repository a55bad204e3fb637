"""A tiny live dataset folder, written file by file as docs/data-formats.md has it, and a model on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DAY, START = 86_400, 1_700_006_400
TASKS = ("comment", "long_watch")
SIZES = {"train": 600, "valid": 120, "test": 120}
PERIODS = {"train": (0, 6), "valid": (6, 7), "test": (7, 8)}


@pytest.fixture
def live_path(live_template: Path, tmp_path: Path) -> Path:
    """A copy of its own of the tiny live folder, `datasets/tinylive`."""
    return Path(shutil.copytree(live_template, tmp_path / "datasets" / live_template.name))


@pytest.fixture(scope="session")
def live_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny live folder, not to be written to.

    40 users, 8 authors of whom two have no segments, and a room an author and day of 12 segments each. A gift is more
    likely where the user likes the author and where the newest segment's visual is large.
    """
    name = "tinylive"
    folder = tmp_path_factory.mktemp("live") / name
    folder.mkdir()
    rng = np.random.default_rng(3)
    users = [f"u{number}" for number in rng.permutation(40)]
    authors = [f"a{number}" for number in rng.permutation(8)]
    rooms = [(author, START + day * DAY + 3600 * (author + 1)) for author in range(6) for day in range(8)]
    author, start = (np.array([(author, room + 30 * part) for author, room in rooms for part in range(12)])).T
    features = {
        "visual": rng.normal(2, 3, (len(author), 3, 4)).astype(np.float16),
        "speech": rng.normal(-1, 0.5, (len(author), 3)).astype(np.float16),
        "comment": rng.normal(size=(len(author), 2)).astype(np.float16),
    }
    silent = rng.random(len(author)) < 0.3
    features["comment"][silent] = 0
    for modality, values in features.items():
        np.save(folder / f"{modality}.npy", values)
    np.save(folder / "comment.present.npy", ~silent)
    _table(
        folder / f"{name}.segment",
        ["segment_id:token", "author_id:token", "start:float"],
        [[f"s{row}", authors[author[row]], int(start[row])] for row in range(len(author))],
    )
    _table(folder / f"{name}.user", ["user_id:token"], [[user] for user in users])
    kinds = ["music", "games"]
    categories = [[token, kinds[row % 2]] for row, token in enumerate(authors)]
    _table(folder / f"{name}.item", ["item_id:token", "category:token"], categories)
    taste = rng.normal(size=(40, 8))
    columns = ["label", "amount", *TASKS, "segment"]
    header = ["user_id:token", "item_id:token", "timestamp:float", *(f"{one}:float" for one in columns)]
    for split, size in SIZES.items():
        rows = []
        for _ in range(size):
            user, item = int(rng.integers(40)), int(rng.integers(8))
            own = np.flatnonzero(author == item)
            low, high = (START + DAY * day for day in PERIODS[split])
            own = own[(start[own] >= low) & (start[own] < high)]
            segment = int(rng.choice(own)) if len(own) else -1
            moment = start[segment] + int(rng.integers(30)) if len(own) else int(rng.integers(low, high))
            shown = features["visual"][segment].astype(float).mean() - 2 if len(own) else 0.0
            label = int(rng.random() < 1 / (1 + np.exp(-(2 * taste[user, item] + 1.5 * shown - 0.5))))
            amount = round(float(rng.lognormal()), 2) + 0.01 if label else 0
            tasks = [int(rng.integers(2)), int(rng.integers(-1, 2))]
            rows.append([users[user], authors[item], moment, label, amount, *tasks, segment])
        _table(folder / f"{name}.{split}.inter", header, sorted(rows, key=lambda row: row[2]))
    description = {
        "name": name,
        "kind": "simulated",
        "source": "made by a test",
        "ordered": True,
        "splits": list(SIZES),
        "counts": {"users": 40, "items": 8, "interactions": sum(SIZES.values()), **SIZES},
        "segments": {"count": len(author), "seconds": 30, "per_sample": 20},
        "tasks": list(TASKS),
        "modalities": {
            modality: {
                "file": f"{modality}.npy",
                "kind": "dense",
                "width": values.shape[-1],
                "missing": int(silent.sum()) if modality == "comment" else 0,
                "of": "segment",
                **({"frames": 3} if values.ndim == 3 else {}),
            }
            for modality, values in features.items()
        },
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def live_checkpoint(live_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A function that saves an untrained MMBee on the tiny live folder, see `untrained`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    return lambda **given: untrained(live_path, tmp_path, **given)


@pytest.fixture(scope="session")
def untrained_checkpoint() -> Callable[..., Path]:
    """The function `untrained`, for fixtures that live longer than a test."""
    return untrained


def untrained(folder: Path, place: Path, **given: Any) -> Path:
    """Saves an untrained MMBee on a dataset folder, of weights so large that all parts matter, in ``place``."""
    import torch
    from recbole.data import data_preparation
    from recbole.utils import get_model

    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.recbole.run import build_config, seeded_dataset
    from mmbee_plugin.recbole.training import checkpoint

    small = {"embedding_size": 8, "gpu_id": "", "show_progress": False, "graphcl": {"epochs": 1}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("sys.argv", ["pytest"])
        config = build_config("MMBee", DatasetFolder(folder), {**small, **given})
        train = data_preparation(config, seeded_dataset(config))[0].dataset
        model = get_model("MMBee")(config, train)
    with torch.no_grad():
        for weight in (one for one in model.parameters() if one.dim() > 1):
            weight.copy_(torch.randn(weight.shape) / weight.shape[-1] ** 0.5)
    path = place / "model.pth"
    checkpoint.save({"config": config, "state_dict": model.state_dict()}, path)
    return path


def _table(path: Path, header: list[str], rows: list[list[object]]) -> None:
    lines = ["\t".join(header), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
