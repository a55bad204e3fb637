"""The store's contract, for every backend: the same records byte for byte, and a defined answer where there is none."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.store.records import MappedStore, StoreDown


@pytest.fixture(params=["mapped", "redis"])
def store(request, static_shelved):
    folder = static_shelved.shelf.path / static_shelved.ids[0]
    mapped = MappedStore(folder)
    if request.param == "mapped":
        return mapped
    from mmbee_plugin.serving.store import redis

    url = request.getfixturevalue("redis_url")
    assert redis.fill(url, folder, folder.name) == len(static_shelved.source.users_of)
    return redis.RedisStore(url, folder.name, mapped.records.dtype)


def test_a_record_has_what_the_model_reads_of_the_user(store, static_shelved):
    source = static_shelved.source
    rows = np.arange(len(source.users_of))
    side, (history, lengths, times) = source.users(rows), source.histories(rows)
    pooled = source.gtr.user_interest.mean(side.neighbours, side.attributes).numpy()
    for row, user in enumerate(source.users_of):
        record = store.read(user)
        assert record.shape == (1,)
        np.testing.assert_array_equal(record["user"][0], side.user[row].numpy())
        np.testing.assert_allclose(record["neighbours"][0], pooled[row], atol=1e-6)
        np.testing.assert_array_equal(record["neighbour_count"][0], side.neighbour_count[row].numpy())
        np.testing.assert_array_equal(record["reach_ids"][0], side.reach_ids[row].numpy())
        assert record["history_length"][0] == lengths[row]
        kept = slice(0, lengths[row])
        np.testing.assert_array_equal(record["history"][0, kept], history[row, kept] + 1)
        np.testing.assert_array_equal(record["history_times"][0, kept], times[row, kept])


@pytest.mark.parametrize("user", ["nobody", "", "a0", "üser 1 ", "x" * 10_000, "\0", "\ud800"])
def test_an_unknown_user_is_none(store, user):
    assert store.read(user) is None


def test_a_record_is_a_copy_of_its_own(store, static_shelved):
    user = static_shelved.source.users_of[0]
    store.read(user)["user"] = 7
    assert (store.read(user)["user"] != 7).all()


def test_both_backends_give_the_same_bytes(static_shelved, redis_url):
    from mmbee_plugin.serving.store import redis

    folder = static_shelved.shelf.path / static_shelved.ids[0]
    mapped = MappedStore(folder)
    redis.fill(redis_url, folder, folder.name)
    other = redis.RedisStore(redis_url, folder.name, mapped.records.dtype)
    for user in static_shelved.source.users_of:
        assert mapped.read(user).tobytes() == other.read(user).tobytes()


def test_a_bundle_that_is_not_whole_in_redis_is_refused(static_shelved, redis_url):
    from mmbee_plugin.serving.store import redis

    first, second = (static_shelved.shelf.path / bundle for bundle in static_shelved.ids)
    dtype = MappedStore(first).records.dtype
    redis.fill(redis_url, first, first.name)
    redis.drop(redis_url, second.name)
    with pytest.raises(InputError, match=f"has no users of bundle {second.name}; mmbee bundle publish"):
        redis.RedisStore(redis_url, second.name, dtype).check()
    redis.fill(redis_url, second, second.name)
    redis.drop(redis_url, first.name)  # takes that bundle's keys alone
    assert redis.RedisStore(redis_url, second.name, dtype).read(static_shelved.source.users_of[0]) is not None
    with pytest.raises(InputError, match="has no users"):
        redis.RedisStore(redis_url, first.name, dtype).check()


def test_no_server_is_one_line(static_shelved):
    from mmbee_plugin.serving.store import redis

    folder = static_shelved.shelf.path / static_shelved.ids[0]
    with pytest.raises(InputError, match=r"redis://127\.0\.0\.1:1/0: no answer"):
        redis.RedisStore("redis://127.0.0.1:1/0", folder.name, np.dtype("f4")).check()
    with pytest.raises(InputError, match="--store nowhere"):
        redis.fill("nowhere", folder, folder.name)


def test_a_dead_redis_degrades_answers_and_a_new_one_mends_them(static_shelved, run_service, start_redis):
    from mmbee_plugin.serving.store import redis

    shelf, source = static_shelved.shelf, static_shelved.source
    folder, user = shelf.path / static_shelved.ids[0], source.users_of[0]
    with start_redis() as url:
        redis.fill(url, folder, folder.name)
        port = int(url.rpartition(":")[2].partition("/")[0])
        with run_service(shelf, url) as running:
            whole = running.client().score(user, source.authors_of, time=static_shelved.now)
            assert whole["flags"] == []
            redis.redis.Redis.from_url(url).shutdown(nosave=True)
            unknown = running.client().score("nobody", source.authors_of, time=static_shelved.now)
            degraded = running.client().score(user, source.authors_of, time=static_shelved.now)
            assert unknown["flags"] == degraded["flags"] == ["degraded"]
            assert degraded["scores"] == unknown["scores"] != whole["scores"]
            with start_redis(port):
                time.sleep(redis.PAUSE)
                empty = running.client().score(user, source.authors_of, time=static_shelved.now)
                assert empty["flags"] == ["degraded"]  # not cold: it is known, but the server began anew
                redis.fill(url, folder, folder.name)
                start = time.monotonic()
                while (found := running.client().score(user, source.authors_of, time=static_shelved.now))[
                    "flags"
                ]:
                    assert time.monotonic() - start < 5
                    time.sleep(0.05)
                assert found == whole


def test_users_that_are_gone_are_written_again(static_shelved, start_redis):
    from mmbee_plugin.serving.store import redis

    shelf, users = static_shelved.shelf, static_shelved.source.users_of
    folder = shelf.path / static_shelved.ids[0]
    mapped = MappedStore(folder)
    with start_redis() as url:
        client = redis.redis.Redis.from_url(url)
        redis.fill(url, folder, folder.name)
        store = redis.RedisStore(url, folder.name, mapped.records.dtype)
        for user in users[3:6]:
            client.delete(redis._prefix(folder.name) + user.encode())
        assert store.read(users[4]) is None
        before = client.info("commandstats")["cmdstat_set"]["calls"]
        assert redis.fill(url, folder, folder.name) == len(users)
        assert (
            client.info("commandstats")["cmdstat_set"]["calls"] == before + 3 + 1
        )  # and the number of users
        for user in users:
            assert store.read(user).tobytes() == mapped.read(user).tobytes()
        client.config_set("maxmemory", "1mb")  # less than it takes
        client.delete(redis._prefix(folder.name) + users[0].encode())
        with pytest.raises(InputError, match="cannot be written"):
            redis.fill(url, folder, folder.name)


def test_a_server_that_may_drop_users_is_refused(static_shelved, start_redis):
    from mmbee_plugin.serving.store import redis

    folder = static_shelved.shelf.path / static_shelved.ids[0]
    dtype, refused = (
        MappedStore(folder).records.dtype,
        "maxmemory-policy allkeys-lru drops users .* noeviction keeps them",
    )
    with start_redis() as url:
        client = redis.redis.Redis.from_url(url)
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(InputError, match=refused):
            redis.fill(url, folder, folder.name)
        for policy in ("noeviction", "volatile-lru"):  # no key has a time to live
            client.config_set("maxmemory-policy", policy)
            redis.fill(url, folder, folder.name)
            redis.RedisStore(url, folder.name, dtype).check()
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(InputError, match=refused):
            redis.RedisStore(url, folder.name, dtype).check()
        client.execute_command("ACL", "SETUSER", "default", "-info")  # a server that does not tell
        redis.RedisStore(url, folder.name, dtype).check()


def test_a_silent_store_is_given_a_pause(redis_url, static_shelved, monkeypatch):
    from mmbee_plugin.serving.store import redis

    folder = static_shelved.shelf.path / static_shelved.ids[0]
    redis.fill(redis_url, folder, folder.name)
    store = redis.RedisStore(redis_url, folder.name, MappedStore(folder).records.dtype)
    asked = []

    def silent(key):
        asked.append(key)
        raise redis.redis.TimeoutError("Timeout reading from socket")

    monkeypatch.setattr(store.client, "get", silent)
    for _ in range(5):
        with pytest.raises(StoreDown):
            store.read("üser 1")
    assert len(asked) == 1
