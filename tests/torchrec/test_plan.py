"""The offline plan: what fits, what does not and by how much, without allocating anything."""

import pytest
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.command.counts import parse_count
from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.plan.outcome import RESERVED
from mmbee_plugin.torchrec.plan.plan import (
    Cluster,
    DataSize,
    Plan,
    Shortage,
    parse_bytes,
    plan,
)
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.sharded.tables import Tables
from mmbee_plugin.torchrec.sharded.workload import workload

GIB = 1024**3
USERS, AUTHORS, WIDTH, QUERIES = 10**9, 10**7, 64, 8


def job(**tables):
    return parse_settings(
        {
            "data": {"shards": "no/such/folder"},
            "model": {"width": WIDTH, "num_queries": QUERIES},
            "train": {"batch_size": 65536},
            "tables": {name: {"sharding": sharding} for name, sharding in tables.items()},
        },
        "job.yaml",
    )


def gpus(number, ddr=0):
    return Cluster(world_size=number, local_world_size=8, hbm=80 * GIB, ddr=ddr)


def test_a_billion_users_fit_sixteen_gpus_and_every_byte_is_counted():
    found = plan(job(), gpus(16), USERS, AUTHORS)
    assert isinstance(found, Plan)
    values = {
        "user": (USERS + 1) * WIDTH,
        "nodes_user": (USERS + 1) * WIDTH,
        "query": (AUTHORS + 1) * WIDTH * QUERIES,
        "author": (AUTHORS + 1) * WIDTH,
        "nodes_author": (AUTHORS + 1) * WIDTH,
    }
    assert {table.name: table.weights for table in found.tables} == {
        name: 4 * count for name, count in values.items()
    }
    assert all(table.state == 4 * table.rows for table in found.tables)  # one sum a row
    held = sum(table.weights + table.state for table in found.tables)
    assert held <= sum(rank.hbm for rank in found.taken) < 1.2 * held
    assert max(rank.hbm for rank in found.taken) <= 80 * GIB * (1 - RESERVED)
    assert found.milliseconds > 0


def test_rows_for_the_unseen_are_counted():
    settings = job()
    unseen = settings.model.model_copy(update={"unseen_rows": 10**6, "unseen_rate": 0.1})
    found = plan(settings.model_copy(update={"model": unseen}), gpus(16), USERS, AUTHORS)
    assert isinstance(found, Plan)
    rows = {table.name: table.rows for table in found.tables}
    assert (rows["user"], rows["author"]) == (USERS + 1 + 10**6, AUTHORS + 1 + 10**6)
    assert (rows["query"], rows["nodes_user"]) == (AUTHORS + 1, USERS + 1)


def test_too_few_gpus_are_told_by_how_much_and_how_many_would_do():
    found = plan(job(), gpus(4), USERS, AUTHORS)
    assert isinstance(found, Shortage)
    assert found.smallest_world_size == 8
    assert found.needed.hbm > found.room.hbm == 4 * int(80 * GIB * (1 - RESERVED))
    assert isinstance(plan(job(), gpus(8), USERS, AUTHORS), Plan)


def test_host_memory_takes_what_the_gpus_cannot():
    found = plan(job(), gpus(4, ddr=250 * GIB), USERS, AUTHORS)
    assert isinstance(found, Plan)
    assert {table.kernel for table in found.tables} == {"fused", "fused_uvm_caching"}
    assert max(rank.ddr for rank in found.taken) > 0


def test_a_table_that_may_not_be_split_is_named():
    found = plan(job(user="table_wise"), gpus(16), USERS, AUTHORS)
    assert isinstance(found, Shortage)
    assert found.largest[0] == "user" and found.smallest_world_size is None


def test_processes_without_gpus_take_host_memory():
    found = plan(job(), Cluster(2, 2, hbm=0, ddr=64 * GIB), 10**7, 10**6)
    assert isinstance(found, Plan)
    assert all(rank.hbm == 0 < rank.ddr for rank in found.taken)


@pytest.mark.parametrize(("world_size", "pooling"), [(1, "concat"), (3, "concat"), (1, "set")])
def test_the_workload_names_every_feature_of_every_table(world_size, pooling):
    settings = job()
    model = settings.model.model_copy(update={"pooling": pooling})
    inputs = Inputs.of(model, DataSize.like(settings, 100, 50))
    stride, factors = workload(inputs, settings, world_size)
    tables = Tables(inputs, "meta")
    configs = [
        *tables.sequences.embedding_configs(),
        *tables.bags.embedding_bag_configs(),
        *tables.pools.embedding_bag_configs(),
    ]
    assert {one.name: len(one.feature_names) for one in configs} == {
        name: len(ids) for name, ids in factors.items()
    }
    assert stride * factors["user"][0] * world_size >= settings.train.batch_size


def test_sizes_and_counts_are_read_or_refused():
    assert parse_bytes("80GB") == parse_bytes("80 GiB") == 80 * GIB and parse_bytes("0.5tb") == GIB * 512
    assert parse_count("1e9") == 10**9 and parse_count("10_000") == 10_000
    for text in ("80", "-1GB", "GB", "1.2.3GB", "0GB"):
        with pytest.raises(InputError, match="80GB"):
            parse_bytes(text)
    for text in ("1.5", "0", "many", "inf", "nan"):
        with pytest.raises(InputError, match="1e9"):
            parse_count(text)


def test_the_command_prints_the_plan_or_fails(tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text("data: {shards: nowhere}\nmodel: {num_queries: 8}\n")
    common = [
        "plan",
        f"--config={config}",
        "--users=1e9",
        "--authors=1e7",
        "--hbm=80GB",
        "--batch-size=65536",
    ]
    fits = CliRunner().invoke(app, [*common, "--world-size=16", "tables.user.sharding=row_wise"])
    assert fits.exit_code == 0, fits.output
    assert "1,000,000,001 x 64" in fits.output and "row_wise" in fits.output and "508.2 GiB" in fits.output
    fails = CliRunner().invoke(app, [*common, "--world-size=4"])
    assert fails.exit_code == 1
    assert "GiB too little" in fails.output and "(powers of two): 8" in fails.output
    without = CliRunner().invoke(app, [*common[:4], "--world-size=4"])
    assert isinstance(without.exception, InputError) and "--hbm" in str(without.exception)
