"""Whatever a file holds, a reader succeeds or raises InputError; nothing else escapes, and nothing is run."""

from __future__ import annotations

import io
import json
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbee_plugin.data.arrays import read_array, read_rows, read_tensor
from mmbee_plugin.data.features import open_bag, open_dense
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import READERS, convert
from mmbee_plugin.data.pickles import load, read_sparse
from mmbee_plugin.data.recbole_files import MISSING_TOKENS, first_bad_row, read_interaction_table, read_tokens
from mmbee_plugin.data.writer import write_folder
from mmbee_plugin.errors import InputError

fuzz = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def _objects(rows: list[object]) -> np.ndarray:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


MATRIX = scipy.sparse.coo_matrix(np.eye(3, 4))
TENSOR = torch.arange(6.0).reshape(3, 2)
FILES: dict[str, tuple[Callable[[Path], object], list[bytes]]] = {
    "sparse": (
        read_sparse,
        [pickle.dumps(m, protocol=p) for m in (MATRIX, MATRIX.tocsr()) for p in (2, 4, 5)],
    ),
    "rows": (
        read_rows,
        [
            _saved(lambda f: np.save(f, _objects([[0, 1], [1], [np.int64(2), 5]]), allow_pickle=True)),
            _saved(lambda f: np.save(f, np.array([[0, 1], [1, 3]]))),
        ],
    ),
    "array": (
        lambda path: read_array(path, dimensions=2, kinds="f").sum(),
        [_saved(lambda f: np.save(f, np.ones((3, 2), np.float32)))],
    ),
    "dense": (lambda path: open_dense(path, 3), [_saved(lambda f: np.save(f, np.ones((3, 2), np.float16)))]),
    "bag": (
        lambda path: open_bag(path, 2),
        [_saved(lambda f: np.savez(f, indptr=np.array([0, 1, 3]), words=np.array([0, 1, 1]), vocabulary=2))],
    ),
    "tensor": (
        lambda path: read_tensor(path, dimensions=2, kinds="f").sum(),
        [
            _saved(lambda f: torch.save(TENSOR, f, _use_new_zipfile_serialization=False)),
            _saved(lambda f: torch.save(TENSOR, f)),
        ],
    ),
    "inter": (
        read_interaction_table,
        [b"user_id:token\titem_id:token\trating:float\n1\t2\t3\nann\tb c\t.5\n\n7\t8\t1e2\n"],
    ),
    "tokens": (
        lambda path: read_tokens(path, "item_id:token"),
        [b"item_id:token\tclass:token_seq\na\tx y\nb\t\n"],
    ),
}


@st.composite
def mutations(draw: st.DrawFn, valid: list[bytes]) -> bytes:
    """A valid file with bytes changed, dropped, doubled or cut off."""
    data = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        stop = start + draw(st.integers(1, 8))
        change = draw(st.sampled_from(["set", "insert", "drop", "double", "cut"]))
        if change == "set":
            data[start:stop] = draw(st.binary(min_size=1, max_size=8))
        elif change == "insert":
            data[start:start] = draw(st.binary(min_size=1, max_size=8))
        elif change == "drop":
            del data[start:stop]
        elif change == "double":
            data[start:start] = data[start:stop]
        else:
            del data[start:]
    return bytes(data)


def _only_input_errors(call: Callable[[], object]) -> None:
    try:
        call()
    except InputError as error:
        message = str(error)
        assert message and "\n" not in message and len(message) < 1_000


@pytest.mark.parametrize("name", FILES)
@fuzz
@given(data=st.data())
def test_readers_survive_mutations_and_random_bytes(name, data, tmp_path_factory):
    read, valid = FILES[name]
    content = data.draw(st.one_of(mutations(valid), mutations(valid), st.binary(max_size=200)))
    path = tmp_path_factory.getbasetemp() / f"fuzz-{name}"
    path.write_bytes(content)
    _only_input_errors(lambda: read(path))


FRAGMENTS = [
    b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n",
    b"c_codecs\nencode\n", b"cnumpy.core.multiarray\nscalar\n", b"cnumpy.core.numeric\n_frombuffer\n",
    b"cscipy.sparse._coo\ncoo_matrix\n", b"cscipy.sparse._csr\ncsr_matrix\n", b"cos\nsystem\n",
    b"X\x02\x00\x00\x00i8", b"X\x02\x00\x00\x00O8", b"X\x06\x00\x00\x00latin1", b"X\x01\x00\x00\x00<",
    b"X\x03\x00\x00\x00row", b"X\x06\x00\x00\x00_shape", b"K\x03", b"J\xff\xff\xff\xff",
    b"U\x08\x00\x00\x00\x00\x00\x00\x00\x00", b"(", b")", b"]", b"}", b"\x85", b"\x86", b"\x87", b"t", b"l",
    b"d", b"a", b"e", b"s", b"u", b"b", b"R", b"\x81", b"\x92", b"0", b"1", b"2", b"N", b"\x88", b"\x8f",
    b"\x90", b"\x91", b"q\x01", b"h\x01", b"\x94", b"\x93", b"G@\x00\x00\x00\x00\x00\x00\x00",
]  # fmt: skip


@settings(fuzz, max_examples=250)
@given(fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_programs_of_pickle_opcodes_yield_data_or_an_input_error(fragments):
    _only_input_errors(lambda: load(b"\x80\x04" + b"".join(fragments) + b".", Path("p.pkl")))


cells = st.one_of(
    st.sampled_from(
        ["1", "2", "a", "", " ", "NA", "nan", '"', "1.5", "1e400", "x y", "é", "\t", "\r", "0x1", "1_0"]
    ),
    st.text(max_size=4).filter(lambda text: not set(text) & set("\n")),
)
HEADER = ["user_id:token", "item_id:token", "rating:float"]


@settings(fuzz, max_examples=120)
@given(rows=st.lists(st.lists(cells, min_size=2, max_size=4), max_size=6))
def test_the_fast_and_the_exact_reading_of_a_table_agree(rows, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzz-table"
    text = "\n".join("\t".join(row) for row in [HEADER, *rows]) + "\n"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        table = read_interaction_table(path)
    except InputError:
        return
    assert first_bad_row(path) is None
    lines = [line.split("\t") for line in text.replace("\r", "\n").split("\n")[1:] if line.strip(" ")]
    assert table.users.tolist() == [line[0] for line in lines]
    assert table.items.tolist() == [line[1] for line in lines]
    assert all(math.isclose(a, float(line[2])) for a, line in zip(table.ratings, lines, strict=True))
    assert not MISSING_TOKENS & {*table.users, *table.items}


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 2**33), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("0125a"), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["hkuds", "mmssl", "mmgcn", "mmrec", "microlens", "movielens"])
@settings(fuzz, max_examples=25)
@given(data=st.data())
def test_conversions_succeed_or_leave_nothing(name, data, tmp_path_factory, request):
    valid = request.getfixturevalue("write_mmgcn")() if name == "mmgcn" else request.getfixturevalue(name)
    base = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(valid, base / "source")
    if name == "mmgcn":
        shutil.rmtree(valid)  # the fixture writes it anew for the next example
        np.save(base / "source" / "feat_t.npy", np.array([[0, 1], [1, 0]]))
    victim = data.draw(st.sampled_from(sorted(path.name for path in (base / "source").iterdir())))
    content = (base / "source" / victim).read_bytes()
    changed = mutations([content])
    if victim.endswith(".json"):
        changed = st.one_of(changed, json_values.map(lambda value: json.dumps(value).encode()))
    (base / "source" / victim).write_bytes(data.draw(changed))
    target = base / "out" / "toy"
    _only_input_errors(lambda: convert("hkuds" if name == "mmssl" else name, base / "source", target))
    if target.exists():
        folder = DatasetFolder(target)
        folder.validate_interactions()
        for modality in folder.modalities:
            folder.features(modality)
    else:
        assert not (base / "out").exists() or not list((base / "out").iterdir())
    shutil.rmtree(base)


def test_every_format_is_fuzzed():
    assert set(READERS) == {"hkuds", "mmgcn", "mmrec", "microlens", "movielens"}


@settings(fuzz, max_examples=60)
@given(data=st.data())
def test_opening_a_damaged_folder(data, content, tmp_path_factory):
    base = tmp_path_factory.mktemp("fuzz")
    write_folder(base / "toy", content)
    victim = data.draw(st.sampled_from(sorted((base / "toy").iterdir())))
    changed = mutations([victim.read_bytes()])
    if victim.suffix == ".json":
        known = json.loads(victim.read_bytes())
        values = st.dictionaries(st.sampled_from(sorted(known)), json_values, min_size=1, max_size=2)
        changed = st.one_of(changed, values.map(lambda change: json.dumps(known | change).encode()))
    victim.write_bytes(data.draw(changed))

    def use() -> None:
        folder = DatasetFolder(base / "toy")
        folder.validate_interactions()
        folder.provenance()
        for modality in folder.modalities:
            folder.features(modality)

    _only_input_errors(use)
    shutil.rmtree(base)
