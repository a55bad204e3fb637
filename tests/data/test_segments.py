"""Segments of a live folder: windows, means and scaling against loops, and files that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.segments import windows
from mmbee_plugin.errors import InputError


@pytest.fixture
def folder(live_path):
    return DatasetFolder(live_path)


def edit(path, change):
    """Rewrites the lines of a text file."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(lines)) + "\n")


@pytest.mark.parametrize("length", [1, 5, 20])
def test_windows_are_the_authors_last_segments_oldest_first(folder, length):
    segments = folder.segments
    rows = torch.tensor([-1, 0, 3, 95, 96, 100, 575])
    for row, window in zip(rows.tolist(), windows(segments.first, rows, length).tolist(), strict=True):
        own = [one for one in range(row + 1) if segments.authors[one] == segments.authors[row]][-length:]
        assert window == [-1] * (length - len(own)) + (own if row >= 0 else [])


def test_newest_has_ended_by_then(folder):
    segments = folder.segments
    until = float(np.quantile(segments.starts, 0.4)) + 29  # within a segment of some author
    expected = np.full(8, -1)
    for row, (author, start) in enumerate(zip(segments.authors, segments.starts, strict=True)):
        if start + 30 <= until:
            expected[author] = row
    assert segments.newest(until).tolist() == expected.tolist()
    assert (segments.newest(until) >= 0).sum() == 6 and (segments.newest(0) == -1).all()


@pytest.mark.parametrize("modality", ["visual", "comment"])
def test_author_means_are_of_present_and_past_segments_alone(folder, modality):
    segments = folder.segments
    until = float(np.median(segments.starts))
    values, present = segments.values(modality).astype(np.float64), segments.present(modality)
    assert present.all() == (modality == "visual")
    used = present & (segments.starts + 30 <= until)
    scaling, means = segments.scaling(modality, until), segments.author_means(modality, until)
    flat = values[used].reshape(-1, values.shape[2])
    np.testing.assert_allclose(scaling.mean, flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scaling.deviation, flat.std(axis=0), rtol=1e-5)
    for author in range(8):
        own = values[used & (segments.authors == author)].reshape(-1, values.shape[2])
        assert means.present[author] == bool(len(own))
        expected = ((own - flat.mean(axis=0)) / flat.std(axis=0)).mean(axis=0) if len(own) else 0
        np.testing.assert_allclose(means.values[author], expected, atol=1e-5)


def test_later_segments_leave_no_trace(folder):
    path = folder.path / "visual.npy"
    segments = folder.segments
    until = float(np.median(segments.starts))
    before = segments.author_means("visual", until)
    values = np.load(path)
    values[segments.starts + 30 > until] = 60_000
    np.save(path, values)
    after = DatasetFolder(folder.path).segments.author_means("visual", until)
    np.testing.assert_array_equal(before.values, after.values)


def test_a_constant_column_is_not_blown_up(folder):
    values = np.load(folder.path / "speech.npy")
    values[:, 1] = np.float16(0.1)
    np.save(folder.path / "speech.npy", values)
    assert DatasetFolder(folder.path).segments.scaling("speech", np.inf).deviation[1] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], r"line 3: .* not after the row before"),
        (lambda lines: [lines[0], lines[1], *lines[1:-1]], r"line 3: .* each once"),
        (
            lambda lines: [lines[0], lines[1].replace("\ta", "\tb"), *lines[2:]],
            r"line 2: author 'b\d', .*\.item",
        ),
        (
            lambda lines: [*lines[:3], lines[3].rpartition("\t")[0] + "\tnan", *lines[4:]],
            "line 4: .* not a finite",
        ),
        (lambda lines: lines[:-1], "575 rows, dataset.json counts 576"),
        (
            lambda lines: ["segment_id:token\tauthor:token\tstart:float", *lines[1:]],
            "no column 'author_id:token'",
        ),
    ],
)
def test_bad_segment_files_are_one_line(folder, change, message):
    edit(folder.path / "tinylive.segment", change)
    with pytest.raises(InputError, match=rf"tinylive\.segment.*{message}"):
        folder.validate_interactions()


def test_features_that_do_not_fit(folder):
    np.save(folder.path / "visual.npy", np.zeros((576, 2, 4), np.float16))
    with pytest.raises(InputError, match=r"visual\.npy: shape \(576, 2, 4\); \(576, 3, 4\) by dataset\.json"):
        folder.segments.values("visual")
    values = np.zeros((576, 3), np.float16)
    values[7, 2] = np.inf
    np.save(folder.path / "speech.npy", values)
    with pytest.raises(InputError, match=r"speech\.npy, row 7, column 2: inf is not a finite float16"):
        folder.segments.values("speech")
    with pytest.raises(InputError, match="no modality 'smell'; its segments have: visual, speech, comment"):
        folder.segments.values("smell")
    with pytest.raises(InputError, match="visual is a modality of segments, not of items"):
        folder.features("visual")


def with_ends(folder, lengths):
    """Writes the segments' ends: each goes on for so many seconds."""

    def change(lines):
        header, *rows = lines
        starts = [float(row.split("\t")[header.split("\t").index("start:float")]) for row in rows]
        ended = [f"{row}\t{start + length}" for row, start, length in zip(rows, starts, lengths, strict=True)]
        return [f"{header}\tend:float", *ended]

    edit(folder.path / "tinylive.segment", change)


def test_a_segment_has_ended_when_its_own_end_is_past(folder):
    lengths = np.random.default_rng(0).choice([0, 30, 50_000], size=576)
    with_ends(folder, lengths)
    segments = folder.segments
    until = float(np.median(segments.starts))
    ended = segments.starts + lengths <= until
    assert (ended != (segments.starts + 30 <= until)).sum() > 3
    rows = np.arange(576)
    newest = [max(rows[ended & (segments.authors == author)], default=-1) for author in range(8)]
    assert segments.newest(until).tolist() == newest
    values = segments.values("visual")[ended].reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(segments.scaling("visual", until).mean, values.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("length", [-1.0, np.nan, np.inf])
def test_an_end_before_its_start_is_refused(folder, length):
    with_ends(folder, [30.0, length, *[30.0] * 574])
    with pytest.raises(
        InputError, match=r"tinylive\.segment, line 3: author .*, end '.*': its end is not a finite"
    ):
        folder.validate_interactions()
