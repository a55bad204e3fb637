"""`mmbee graph`: builds the snapshot that a run of MMBee reads, and shows what is behind a neighbour."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

ROOT = Path(__file__).parents[1]
FAST = ("--graph.folds=0", "--graphcl.epochs=1", "--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: RO}")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """`datasets/toy`: 25 users with 6 of 20 items each."""
    rng = np.random.default_rng(3)
    rows = [f"u{user}\ti{item}" for user in range(25) for item in rng.permutation(20)[:6]]
    folder = tmp_path / "datasets" / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.inter").write_text("\n".join(["user_id:token\titem_id:token", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    return folder


def snapshots(folder: Path) -> set[str]:
    return {path.name for path in (folder / "graph").iterdir()}


def cells(out: str) -> dict[str, list[str]]:
    """The printed table by the first cell of each row."""
    rows = [
        [cell.strip() for cell in re.split("[│|]", line)[1:-1]] for line in out.splitlines() if "│" in line
    ]
    return {row[0]: row[1:] for row in rows}


def test_a_graph_is_built_once_and_is_the_one_a_run_reads(mmbee, folder):
    from mmbee_plugin.graph.snapshot import Snapshot
    from mmbee_plugin.recbole.run import main

    build = ("graph", "build", "--dataset=toy", *FAST)
    status, out, err = mmbee(*build)
    assert status == 0 and "Built: " in out and err.splitlines()[0] == "U2A" and "nodes" in err.splitlines()
    (key,) = snapshots(folder)
    snapshot = Snapshot.open(folder / "graph" / key)
    table = cells(out)
    assert list(table) == [
        *("U2A", "A2A", "reach", "u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a", "packed lists", "nodes", "all"),
    ]
    assert "25 users, 20 authors" in out
    for name, graph in {"U2A": snapshot.u2a(), "A2A": snapshot.a2a()}.items():
        lengths = np.diff(graph.indptr)
        side = "users" if name == "U2A" else "authors"
        expected = [str(graph.nnz), side, f"{np.mean(lengths > 0):.1%}", f"{lengths.mean():.1f}"]
        assert table[name][:4] == expected
    assert table["reach"][0] == f"{len(snapshot.reach().ids):,}"
    lists = snapshot.neighbours("a2u2a")
    assert table["a2u2a"][0] == f"{len(lists.ids):,}" and table["a2u2a"][1] == "authors"
    seconds = [float(row[4]) for name, row in table.items() if name != "all"]
    assert float(table["all"][4]) == pytest.approx(sum(seconds), abs=0.01 * len(seconds))
    assert float(table["all"][5].replace(",", "")) > 50

    assert main(["--model=MMBee", "--dataset=toy", "--epochs=1", "--gpu_id=", *FAST, "--topk=[5]",
                 "--valid_metric=Recall@5"]) == 0  # fmt: skip
    assert snapshots(folder) == {key}


def test_reuse_and_rebuild(mmbee, folder):
    build = ("graph", "build", "--dataset=toy", *FAST)
    first = cells(mmbee(*build)[1])
    status, out, err = mmbee(*build)
    assert status == 0 and f"Reused: datasets/toy/graph/{next(iter(snapshots(folder)))}" in out and not err
    assert cells(out) == first
    assert "Built: " in mmbee(*build, "--graph.top_k=3")[1] and len(snapshots(folder)) == 2
    assert "Built: " in mmbee(*build, "--seed=2")[1] and len(snapshots(folder)) == 3  # another split
    with open(folder / "toy.inter", "a") as file:
        file.write("u0\ti19\n")
    assert "Built: " in mmbee(*build)[1] and len(snapshots(folder)) == 4


def test_parts_and_workers_make_the_snapshot_of_one_process(mmbee, folder, tmp_path):
    from mmbee_plugin.graph.snapshot import Snapshot

    build, place = ("graph", "build", "--dataset=toy", *FAST), folder / "graph"

    def made() -> dict[str, str]:
        (key,) = snapshots(folder)
        found = Snapshot.open(place / key)
        found.check()
        place.rename(tmp_path / f"graph-{len(list(tmp_path.iterdir()))}")
        return found.manifest["files"]

    assert mmbee(*build)[0] == 0
    whole = made()

    status, out, err = mmbee(*build, "--parts=2", "--part=2")
    assert status == 0 and "Part 2 of 2 is made: " in out and "Not made yet: part 1" in out
    assert "lists-u" not in out and "u2a2u, 2 of 2" in err.splitlines()
    status, out, err = mmbee("graph", "merge", "--dataset=toy", *FAST)
    assert status == 2 and err.splitlines()[-1].endswith("--parts=2 --part=1 makes it")
    status, out, err = mmbee(*build, "--parts=2", "--part=1")
    assert status == 0 and "All are made: mmbee graph merge --dataset=toy joins them" in out
    assert "A2A, 1 of 2" not in err.splitlines()  # part 2 made it, since it was needed
    status, out, err = mmbee("graph", "merge", "--dataset=toy", *FAST)
    assert status == 0 and "Built: " in out and cells(out)["u2a2u"][1] == "users"
    assert "Reused: " in mmbee(*build, "--parts=2", "--part=1")[1]
    assert made() == whole

    status, out, err = mmbee(*build, "--workers=2")
    assert status == 0 and "Built: " in out and any(line.startswith("part 2: ") for line in err.splitlines())
    assert "Reused: " in mmbee(*build, "--workers=2")[1]
    assert made() == whole


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--part=1",), "--parts and --part go together"),
        (("--parts=2",), "--parts and --part go together"),
        (("--parts=2", "--part=3"), "--part=3 is out of range, expected 1 to 2"),
        (("--parts=2", "--part=1", "--workers=2"), "--workers makes all parts, --part one of them"),
    ],
)
def test_options_of_parts_that_do_not_fit(mmbee, folder, options, said):
    status, _, err = mmbee("graph", "build", "--dataset=toy", *FAST, *options)
    assert status == 2 and said in err and len(err.splitlines()) == 1
    assert not (folder / "graph").exists()


def test_costs_of_the_graph_and_of_the_metapath_of_its_name_are_apart():
    from mmbee_plugin.recbole.graph_report import _costs

    names = ["U2A", "A2A", "u2a", "a2a", "visual along a2a", "nodes"]
    stages = [{"stage": name} for name in [*names, *(f"{name} without fold 0" for name in names[:-1])]]
    found = {name: [stages.index(stage) for stage in of] for name, of in _costs(stages).items()}
    assert {name: len(of) for name, of in found.items()} == {
        **{"U2A": 2, "A2A": 2, "u2a": 2, "a2a": 2, "mean visual": 2, "nodes": 1}
    }


def by_brute_force(u2a: csr_matrix, start: int) -> dict[int, dict[tuple[int, int], float]]:
    """u2a2u: the weight of each path (author, user), by user."""
    dense = u2a.toarray().astype(float)
    paths: dict[int, dict[tuple[int, int], float]] = {}
    for author in np.flatnonzero(dense[start]):
        for user in np.flatnonzero(dense[:, author]):
            weight = dense[start, author] / dense[start].sum() * dense[user, author] / dense[:, author].sum()
            if user != start:
                paths.setdefault(user, {})[author, user] = weight
    return paths


def test_neighbours_and_the_paths_behind_them(mmbee, folder):
    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.graph.snapshot import Snapshot

    status, out, _ = mmbee(
        "graph", "neighbours", "--dataset=toy", "--user=u7", "--metapath=u2a2u", "--top=2", "--paths=1", *FAST
    )
    assert status == 0
    (key,) = snapshots(folder)
    opened = DatasetFolder(folder)
    row = list(opened.user_tokens).index("u7")
    paths = by_brute_force(Snapshot.open(folder / "graph" / key).u2a(), row)
    scores = {user: np.float32(sum(walks.values())) for user, walks in paths.items()}
    expected = [f"u2a2u: user u7 has {len(scores)} neighbours, all users"]
    for user in sorted(scores, key=lambda user: (-scores[user], user))[:2]:
        token = opened.user_tokens[user]
        expected.append(f"  {scores[user]:.6f}  user {token}")
        heaviest = sorted(paths[user].items(), key=lambda walk: (-walk[1], walk[0]))
        (author, _), weight = heaviest[0]
        expected.append(f"    {weight:.6f}  user u7 > author {opened.item_tokens[author]} > user {token}")
        if len(heaviest) > 1:
            rest = sum(weight for _, weight in heaviest[1:])
            expected.append(f"    {rest:.6f}  {len(heaviest) - 1} more paths")
    assert out.splitlines()[-len(expected) :] == expected


def test_all_metapaths_of_a_side_by_default(mmbee, folder):
    status, out, _ = mmbee("graph", "neighbours", "--dataset=toy", "--author=i3", "--top=1", *FAST)
    assert status == 0
    assert re.findall(r"^(\w+): author i3 has", out, re.MULTILINE) == ["a2a", "a2u2a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "--dataset=nowhere"), "dataset 'nowhere' is unknown in datasets; known: "),
        (("build", "--dataset=toy", "--graph.topk=3"), "graph.topk: no such setting; did you mean top_k?"),
        (("build", "--dataset=toy", "--epoch=3"), "setting 'epoch' is not known; did you mean epochs?"),
        (("build", "--dataset=toy", "--fast"), "argument '--fast' is not understood"),
        (("build", "--dataset=toy", "--interest=none"), "a model with these settings reads no graph"),
        (("build", "--dataset=toy", "--metapaths=u2u"), "metapath 'u2u': expected one to three of the steps"),
        (("neighbours", "--dataset=toy"), "needs one of --user=TOKEN and --author=TOKEN"),
        (("neighbours", "--dataset=toy", "--user=u1", "--author=i1"), "needs one of --user"),
        (("neighbours", "--dataset=toy", "--user=i1"), "datasets/toy: user 'i1' is not known; known are 25"),
        (("neighbours", "--dataset=toy", "--author=u1"), "datasets/toy: author 'u1' is not known"),
        (
            ("neighbours", "--dataset=toy", "--user=u1", "--metapath=u2x"),
            "metapath 'u2x': expected one to three",
        ),
        (
            ("neighbours", "--dataset=toy", "--user=u1", "--metapath=a2u2a"),
            "metapath a2u2a: not one of the graph's from users, which are: u2a2u, u2a2u2a, u2a2a",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(mmbee, folder, arguments, message):
    if "neighbours" in arguments:
        mmbee("graph", "build", "--dataset=toy", *FAST)
    status, out, err = mmbee("graph", *arguments, *FAST)
    assert status == 2 and not out
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_the_manifest_is_what_the_table_is_made_from(mmbee, folder):
    """Times of a reused graph are those of its build."""
    mmbee("graph", "build", "--dataset=toy", *FAST)
    (key,) = snapshots(folder)
    manifest = folder / "graph" / key / "manifest.json"
    content = json.loads(manifest.read_text())
    for stage in content["stages"]:
        stage["seconds"] = 2.0 if stage["stage"] == "nodes" else 0.5
    manifest.write_text(json.dumps(content))
    table = cells(mmbee("graph", "build", "--dataset=toy", *FAST)[1])
    assert table["nodes"][4] == "2.00" and table["a2a"][4] == "0.50" and table["A2A"][4] == "0.50"
    content["stages"][0]["stage"] = "u2a"  # its name in snapshots of older versions
    manifest.write_text(json.dumps(content))
    table = cells(mmbee("graph", "build", "--dataset=toy", *FAST)[1])
    assert table["U2A"][4:] == ["", ""] and table["u2a"][4] == "0.50"


def test_importing_the_command_line_is_cheap():
    code = "import sys, mmbee_plugin.cli; print(sorted({'torch', 'recbole', 'numba'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "[]\n", ended.stderr


def test_what_caps_cost_is_printed(mmbee, folder):
    status, out, _ = mmbee("graph", "caps", "--dataset=toy", "--cap=5", "--cap=1000", *FAST)
    assert status == 0
    rows = [
        [cell.strip() for cell in re.split("[│|]", line)[1:-1]] for line in out.splitlines() if "│" in line
    ]
    at = [row for row in rows if row[3] == "a2u2a"]
    assert [row[4] for row in at] == ["1.000", at[1][4], "1.000"] and float(at[1][4]) < 1
    assert [row[0] for row in rows if row[3] == "swing"] == ["none", "5", "1,000"]
    status, _, err = mmbee("graph", "caps", "--dataset=toy", "--cap=0", *FAST)
    assert status == 2 and "--cap" in err


def test_a_plan_is_printed_for_a_population_that_is_not_there(mmbee):
    arguments = ("graph", "plan", "--users=1e9", "--authors=1e7", "--gifts=1e9", "--exponent=.75")
    status, out, _ = mmbee(*arguments, "--cap=1000")
    assert status == 0
    table = cells(out)
    assert list(table) == ["swing", "u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a", "nodes", "all"]
    hours = [[float(row[column].replace(",", "")) for column in (0, 3)] for row in table.values()]
    assert all(exact >= capped > 0 for exact, capped in hours)
    assert "the first author has 4.48e+06 users" in out  # 1e9 / sum of r^-.75 to 1e7
    assert "Cap 1,000: " in out and "Shuffle: " in out
    status, _, err = mmbee(*arguments[:2], "--users=many", *arguments[3:])
    assert status == 2 and err.strip() == "error: 'many' is no count; write for instance 1e9"


def test_a_graph_is_refreshed_from_an_earlier_one_and_compared(mmbee, folder):
    """A gift and a user are new; who keeps an older list is told, and what it costs."""
    fast = (
        "--graph.folds=0",
        "--graphcl.epochs=1",
        "--row_order=file",
        "--eval_args={split: {LS: valid_and_test}, order: TO}",
    )
    build = ("graph", "build", "--dataset=toy", *fast)
    assert "approximate" not in mmbee(*build)[1]
    (key,) = snapshots(folder)
    with open(folder / "toy.inter", "a") as file:
        file.write("u3\ti19\nnew\ti2\n")
    refresh = (*build, "--refresh=touched", f"--previous={folder / 'graph' / key}")
    status, out, _ = mmbee(*refresh, "--compare")
    assert status == 0 and f"others keep those of {key}" in out.replace("\n", " ")
    rows = cells(out[out.index("overlap, kept") :])
    assert list(rows) == ["swing", "u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a", "all"]
    for name in ("u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a"):
        share, overlap = float(rows[name][0].rstrip("%")), float(rows[name][1])
        assert 0 < share < 100 and 0 < overlap <= 1
    assert len(snapshots(folder)) == 2
    assert "Reused: " in mmbee(*refresh)[1] and len(snapshots(folder)) == 2
    assert "approximate" not in mmbee(*build)[1] and len(snapshots(folder)) == 3

    status, _, err = mmbee(*refresh, "--workers=2", "--graph.top_k=50", "--seed=2")
    assert status == 2 and "a refresh is made by one process, not in parts" in err
    for bad in (refresh[:-1], (*build, "--previous=x"), (*build, "--compare")):
        status, out, err = mmbee(*bad)
        assert status == 2 and not out and err.startswith("error: --refresh=touched, --previous=DIR")
