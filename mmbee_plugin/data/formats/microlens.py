"""Reader of MicroLens in any of its sizes: pairs of users and videos watched, and video titles.

`*pairs*.csv`: `userID,videoID,timestamp` (or `user,item,timestamp`), times in milliseconds. Or `*pairs*.tsv`: a user, a
tab, and the videos in order of time, separated by blanks. `*title*.csv`: video and title, with or without a header;
commas in a title need no quotes. Each user's last video is test, the one before it validation, as in the paper
(Ni et al., "A Content-Driven Micro-Video Recommendation Dataset at Scale").
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mmbee_plugin.data.features import BagFeatures
from mmbee_plugin.data.formats.columns import IDS, in_seconds, read_numbers
from mmbee_plugin.data.formats.discovery import unread_note
from mmbee_plugin.data.formats.numbered import source_line
from mmbee_plugin.data.pickles import read_bytes
from mmbee_plugin.data.recbole_files import read_header
from mmbee_plugin.data.splits import leave_one_out
from mmbee_plugin.data.text import text_features
from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions, SourceFeatures
from mmbee_plugin.errors import InputError

NAMES = {"user": ("userID", "user"), "video": ("videoID", "item"), "time": ("timestamp",)}
TITLE = re.compile(r"(\d{1,10}),(.*)", re.DOTALL)
SPLIT_NOTE = (
    "split by convert: each user's last video is test, the one before it validation; fewer than 3 only train"
)

LISTS_NOTE = (
    "no times: the order of each user's videos chose the split; convert --ordered lets models read it too"
)


def read(source: Path) -> DatasetContent:
    """Reads the folder; raises InputError naming the bad file, line and value."""
    table, lists, titles = (
        _one_file(source, *kind) for kind in (("pairs", "csv"), ("pairs", "tsv"), ("title", "csv"))
    )
    pairs = table or lists
    if pairs is None:
        raise InputError(f"{source}: neither a *pairs*.csv nor a *pairs*.tsv is there")
    users, videos, times = _read_table(pairs) if pairs == table else _read_lists(pairs)
    user_ids, user_rows = np.unique(users, return_inverse=True)
    video_ids, video_rows = np.unique(videos, return_inverse=True)
    parts = leave_one_out(user_rows, times)
    notes = [f"pairs of {pairs.name}; {SPLIT_NOTE}", *([LISTS_NOTE] if times is None else [])]
    features: dict[str, SourceFeatures | BagFeatures] = {}
    if titles is not None:
        of_video = _read_titles(titles)
        texts = [of_video.pop(video, "") for video in video_ids.tolist()]
        values, note = text_features(texts, titles)
        features["text"] = SourceFeatures(values, titles)
        notes.append(note)
        if of_video:
            notes.append(f"{len(of_video):,} titles of videos that nobody watched were left out")
    notes += unread_note(source, [pairs, *([titles] if titles else [])])
    return DatasetContent(
        source=source_line("microlens", source),
        kind="real",
        users=[str(user) for user in user_ids.tolist()],
        items=[str(video) for video in video_ids.tolist()],
        interactions={
            split: Interactions(
                user_rows[parts == part],
                video_rows[parts == part],
                timestamps=None if times is None else times[parts == part],
            )
            for part, split in enumerate(SPLITS)
        },
        features=features,
        notes=notes,
    )


def _one_file(source: Path, word: str, suffix: str) -> Path | None:
    found = sorted(source.glob(f"*{word}*.{suffix}"))
    if len(found) > 1:
        raise InputError(f"{found[1]}: stands beside {found[0].name}; keep one file of {word}s")
    return found[0] if found else None


def _read_table(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users and videos, (n,) int64, and times, (n,) float64 seconds."""
    first = "\t".join(read_header(path)).lstrip("\ufeff")
    header = [name.strip() for name in first.split(",")]
    chosen = {}
    for column, names in NAMES.items():
        found = [name for name in names if name in header]
        if len(found) != 1 or header.count(found[0]) > 1:
            raise InputError(
                f"{path}, line 1: {first[:80]!r}; one column {' or '.join(map(repr, names))} is needed, "
                "separated by commas"
            )
        chosen[column] = found[0]
    kinds = {name: None if column == "time" else IDS for column, name in chosen.items()}
    values = read_numbers(path, ",", header, kinds)
    users, videos = (values[chosen[column]].astype(np.int64) for column in ("user", "video"))
    return users, videos, in_seconds(values[chosen["time"]], path)


def _read_lists(path: Path) -> tuple[np.ndarray, np.ndarray, None]:
    """Users and videos, (n,) int64, each user's videos in order of time."""
    videos: dict[int, list[int]] = {}
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        user, tab, row = line.partition("\t")
        ids = row.split()
        for value in (user.strip(), *ids):
            if not (value.isascii() and value.isdigit() and len(value) < 11 and int(value) < IDS):
                raise InputError(f"{path}, line {number}: {value[:80]!r}; a whole number from 0 is needed")
        if not tab or not ids:
            raise InputError(f"{path}, line {number}: {line[:80]!r}; a user, a tab and videos are needed")
        if int(user) in videos:
            raise InputError(
                f"{path}, line {number}: user {user.strip()} appears a second time; one line a user"
            )
        videos[int(user)] = [int(value) for value in ids]
    users = np.repeat(np.array(list(videos), dtype=np.int64), [len(ids) for ids in videos.values()])
    return users, np.array([video for ids in videos.values() for video in ids], dtype=np.int64), None


def _read_titles(path: Path) -> dict[int, str]:
    """Title of each video. A line without a leading number and comma continues the title before it."""
    titles: dict[int, str] = {}
    video = None
    for number, line in enumerate(_text(path).split("\n"), start=1):
        match = TITLE.fullmatch(line.rstrip("\r"))
        if match is None and number > 1 and video is not None:
            titles[video] += f" {line}"
        elif match is None and (number > 1 or "title" not in line.lower()):
            raise InputError(
                f"{path}, line {number}: {line[:80]!r}; a video, a comma and its title are needed"
            )
        elif match is not None:
            video = int(match[1])
            if video in titles:
                raise InputError(
                    f"{path}, line {number}: video {video} appears a second time; one title a video"
                )
            titles[video] = match[2]
    return {video: _unquoted(title.strip()) for video, title in titles.items()}


def _unquoted(title: str) -> str:
    quoted = len(title) > 1 and title[0] == title[-1] == '"'
    return title[1:-1].replace('""', '"') if quoted else title


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, byte {error.start}: not UTF-8 text") from None
