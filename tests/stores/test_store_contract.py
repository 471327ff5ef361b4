"""What every store must do, from the same cases: in memory, on a real engine, on moto.

Moto loses conditional writes under concurrency; here there is a single caller.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_singleton import DynamoDBStore, LeaseConfigError, LeaseRecord, LeaseStore, MemoryStore
from lambda_singleton._protocol.operations import (
    Acquire,
    ForceRelease,
    Operation,
    Release,
    Renew,
    TakeTicket,
)

from ..fakes import START, acquire


def ms(seconds: float) -> int:
    return round((START + seconds) * 1000)


@pytest.fixture(params=["memory", "engine", "direct", "moto"])
def store(
    request: pytest.FixtureRequest, table: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LeaseStore]:
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "engine":
        yield DynamoDBStore(table)
    elif request.param == "direct":
        # A file of the developer's would send it through boto3.
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, "/nowhere")
        yield DynamoDBStore(table, transport="direct")
    else:
        moto = pytest.importorskip("moto")
        # moto answers inside the process, and only for AWS's own addresses.
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        with moto.mock_aws():
            store = DynamoDBStore("moto-leases")
            store.create_table()
            yield store


def renew(name: str, owner: str, until: float) -> Renew:
    return Renew(name=name, owner=owner, expires_at=ms(until))


def release(name: str, owner: str, at: float, free_at: float | None = None) -> Release:
    return Release(
        name=name,
        owner=owner,
        now=ms(at),
        free_at=None if free_at is None else ms(free_at),
        last_run={"outcome": "succeeded"},
    )


def applied(store: LeaseStore, operation: Operation) -> bool:
    return store.execute(operation, timeout=2).applied


def row(store: LeaseStore, name: str) -> LeaseRecord:
    record = store.get(name)
    assert record is not None
    return record


def test_an_unknown_lease_is_free(store: LeaseStore, name: str) -> None:
    assert store.get(name) is None
    reply = store.execute(acquire(name, "a"), timeout=2)
    assert reply.applied
    assert reply.record == row(store, name)
    assert row(store, name) == LeaseRecord(
        name=name,
        token=ms(0) + 1,
        owner="a",
        expires_at=START + 30,
        holder={"request_id": "a"},
        duration=30,
        taken_from="a",
    )


def test_a_dead_holder_is_named_by_who_takes_over(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "dead"))
    applied(store, acquire(name, "next", now=31))
    assert row(store, name).taken_from == "dead"
    applied(store, release(name, "next", 32))
    applied(store, acquire(name, "last", now=33))
    assert row(store, name).taken_from == "last"


def test_a_held_lease_is_refused_and_tells_by_whom(
    store: LeaseStore, name: str, shows_refusals: bool
) -> None:
    applied(store, acquire(name, "a"))
    reply = store.execute(acquire(name, "b", now=1), timeout=2)
    assert not reply.applied
    if shows_refusals:
        assert reply.record == row(store, name)
    assert row(store, name).owner == "a"


@pytest.mark.parametrize(("now", "granted"), [(30, False), (30.999, False), (31, True), (99, True)])
def test_a_dead_holder_is_taken_over_after_its_lease_and_the_skew(
    store: LeaseStore, name: str, now: float, granted: bool
) -> None:
    applied(store, acquire(name, "a"))
    before = row(store, name).token
    assert applied(store, acquire(name, "b", now=now)) is granted
    assert row(store, name).token == before + granted


def test_the_owner_recognises_its_own_first_try(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a"))
    reply = store.execute(acquire(name, "a", now=1), timeout=2)
    assert reply.applied
    assert reply.record == row(store, name)


def test_a_late_acquire_does_not_shorten_a_renewed_lease(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a"))
    applied(store, renew(name, "a", until=40))
    assert not applied(store, acquire(name, "a"))
    assert row(store, name).expires_at == START + 40


def test_a_late_renewal_does_not_undo_a_later_one(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a"))
    assert applied(store, renew(name, "a", until=50))
    reply = store.execute(renew(name, "a", until=40), timeout=2)
    assert not reply.applied
    assert row(store, name).owner == "a"
    assert row(store, name).expires_at == START + 50


def test_a_repeated_renewal_is_applied(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a"))
    assert applied(store, renew(name, "a", until=40))
    assert applied(store, renew(name, "a", until=40))


def test_nobody_else_renews_or_releases(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a"))
    before = row(store, name)
    assert not applied(store, renew(name, "b", until=99))
    assert not applied(store, release(name, "b", at=1))
    assert row(store, name) == before


def test_nothing_can_be_done_to_a_lease_that_does_not_exist(store: LeaseStore, name: str) -> None:
    assert not applied(store, renew(name, "a", until=99))
    assert not applied(store, release(name, "a", at=1))
    assert store.get(name) is None
    with pytest.raises(LeaseConfigError, match=name):
        store.force_release(name)


def test_a_release_frees_the_lease_at_once_and_keeps_the_token(
    store: LeaseStore, name: str
) -> None:
    applied(store, acquire(name, "a"))
    token = row(store, name).token
    assert applied(store, release(name, "a", at=5))
    record = row(store, name)
    assert (record.owner, record.expires_at, record.token) == (None, None, token)
    assert record.last_run == {"outcome": "succeeded"}
    assert applied(store, acquire(name, "b", now=5))
    assert row(store, name).token == token + 1
    assert row(store, name).last_run == {"outcome": "succeeded"}


@pytest.mark.parametrize(("now", "granted"), [(19.999, False), (20, True), (20.5, True)])
def test_a_minimum_hold_outlasts_the_release(
    store: LeaseStore, name: str, now: float, granted: bool
) -> None:
    applied(store, acquire(name, "a"))
    assert applied(store, release(name, "a", at=5, free_at=20))
    assert row(store, name).last_run == {"outcome": "succeeded"}
    assert applied(store, acquire(name, "b", now=now)) is granted


def test_a_rows_retention_counts_from_its_end(name: str) -> None:
    assert acquire(name, "a").in_use_until == ms(30)
    assert renew(name, "a", until=40).in_use_until == ms(40)
    assert release(name, "a", at=5).in_use_until == ms(5)
    assert release(name, "a", at=5, free_at=20).in_use_until == ms(20)
    assert TakeTicket(name, now=ms(5)).in_use_until == ms(5)
    assert ForceRelease(name, now=ms(5)).in_use_until == ms(5)


def test_a_row_without_an_end_is_not_renewed(name: str) -> None:
    assert not renew(name, "a", until=40).allows(LeaseRecord(name, 7, owner="a"))


def test_a_renewal_after_the_release_does_not_bring_it_back(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a"))
    applied(store, release(name, "a", at=5))
    assert not applied(store, renew(name, "a", until=60))
    assert applied(store, acquire(name, "b", now=5))


def test_a_forced_release_frees_and_fences(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a"))
    token = row(store, name).token
    record = store.force_release(name)
    assert (record.owner, record.expires_at, record.token) == (None, None, token + 1)
    assert record == row(store, name)
    assert not applied(store, renew(name, "a", until=60))
    assert applied(store, acquire(name, "b", now=1))
    assert row(store, name).token == token + 2


def test_a_silent_holder_may_be_taken_over_whatever_the_clocks_say(
    store: LeaseStore, name: str
) -> None:
    applied(store, acquire(name, "a", now=3600))
    seen = row(store, name)
    assert not applied(store, acquire(name, "b", now=60))
    assert applied(store, acquire(name, "b", now=60, seen=seen))
    assert row(store, name).token == seen.token + 1


def test_a_holder_that_renewed_since_is_not_silent(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a", now=3600))
    seen = row(store, name)
    applied(store, renew(name, "a", until=3700))
    assert not applied(store, acquire(name, "b", now=60, seen=seen))


def test_tickets_are_given_while_it_is_held(store: LeaseStore, name: str) -> None:
    assert not applied(store, TakeTicket(name, now=ms(0)))
    applied(store, acquire(name, "a"))
    assert applied(store, TakeTicket(name, now=ms(1)))
    assert applied(store, TakeTicket(name, now=ms(2)))
    assert (row(store, name).tickets, row(store, name).served) == (2, 0)
    applied(store, release(name, "a", at=5))
    assert not applied(store, TakeTicket(name, now=ms(6)))
    assert applied(store, acquire(name, "b", now=7)._replace(ticket=2))
    assert (row(store, name).tickets, row(store, name).served) == (2, 2)


@pytest.mark.parametrize(("owner", "now"), [("a", 3600), ("c", 3600), ("b", 3599), ("b", 3601)])
def test_neither_is_a_holder_that_came_since(
    store: LeaseStore, name: str, owner: str, now: float
) -> None:
    applied(store, acquire(name, "b", now=3600))
    seen = row(store, name)
    store.force_release(name)
    applied(store, acquire(name, owner, now=now))
    assert not applied(store, acquire(name, "d", now=60, seen=seen))


def test_times_are_kept_to_the_millisecond(store: LeaseStore, name: str) -> None:
    applied(store, acquire(name, "a", now=0.001, duration=30.002))
    assert row(store, name).expires_at == START + 30.003
    assert row(store, name).duration == 30.002
    applied(store, renew(name, "a", until=40.004))
    assert row(store, name).expires_at == START + 40.004
    applied(store, release(name, "a", at=5, free_at=20.005))
    assert row(store, name).expires_at == START + 20.005


def test_all_leases_are_listed(store: LeaseStore, name: str) -> None:
    for suffix in ("#a", "#b", "#c"):
        applied(store, acquire(name + suffix, "a"))
    mine = sorted(record.name for record in store.records() if record.name.startswith(name))
    assert mine == [f"{name}#a", f"{name}#b", f"{name}#c"]


moments = st.integers(0, 6).map(lambda step: step * 0.5)
owners = st.sampled_from(["a", "b"])
AnyOperation = Acquire | Renew | Release | TakeTicket | ForceRelease


@st.composite
def operations(draw: st.DrawFn) -> AnyOperation:
    kind = draw(st.sampled_from([Acquire, Acquire, Renew, Release, TakeTicket, ForceRelease]))
    owner, now = draw(owners), draw(moments)
    if kind is Acquire:
        bid = acquire("x", owner, now=now, duration=draw(moments), skew=draw(moments))
        return bid._replace(ticket=draw(st.none() | st.integers(1, 3)))
    if kind is Renew:
        return renew("x", owner, until=draw(moments))
    if kind is Release:
        return release("x", owner, at=now, free_at=draw(st.none() | moments))
    if kind is TakeTicket:
        return TakeTicket("x", now=ms(now))
    return ForceRelease(name="x", now=ms(now))


@settings(max_examples=60, deadline=None)
@given(script=st.lists(st.tuples(operations(), st.integers(0, 4)), min_size=1, max_size=8))
def test_the_expressions_and_the_python_say_the_same(
    dynamodb: DynamoDBStore,
    shows_refusals: bool,
    script: list[tuple[AnyOperation, int]],
) -> None:
    name = f"same-{uuid.uuid4().hex}"
    memory = MemoryStore()
    holders: list[LeaseRecord] = []
    for step, watched in script:
        operation = step._replace(name=name)
        if isinstance(operation, Acquire) and watched < len(holders):
            operation = operation._replace(seen=holders[watched])
        expected = memory.execute(operation, timeout=2)
        reply = dynamodb.execute(operation, timeout=2)
        assert reply.applied == expected.applied
        if operation.wants_row if reply.applied else shows_refusals:
            assert reply.record == expected.record
        assert dynamodb.get(name) == memory.get(name)
        if expected.record is not None and expected.record.owner is not None:
            holders.append(expected.record)
