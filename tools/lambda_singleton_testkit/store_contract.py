"""The contract of a store, as a class of tests to inherit from."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lambda_singleton import LeaseConfigError
from lambda_singleton.stores import LeaseRecord, LeaseStore, Reply

from .cases import CASES, AnyOperation, Case, acquire, held_by, renew, ticket

#: How long a request may take, in seconds.
TIMEOUT = 2.0
#: How many callers ask at the same time.
CALLERS = 16


class StoreContract:
    """Inherit from it and say how to open your store; each case of the protocol is one test.

    Every test uses names of its own, so the store may be shared and need not be empty.
    """

    def open_store(self) -> LeaseStore:
        """Return the store to test. Called once for each test."""
        raise NotImplementedError

    def test_it_has_all_that_a_store_needs(self) -> None:
        """Its clock, its margins and its methods."""
        store = self.open_store()
        assert isinstance(store, LeaseStore)
        assert store.clock_skew >= 0
        assert store.kill_grace >= 0
        assert store.clock.time() > 0
        store.prepare(timeout=TIMEOUT)

    def test_an_unknown_lease_has_no_row(self) -> None:
        """`get` returns None."""
        assert self.open_store().get(_new_name()) is None

    def test_names_and_facts_may_have_any_characters(self) -> None:
        """A name has up to 2048 bytes, and `#` before its key."""
        store, name = self.open_store(), _new_name()
        for each in (f'{name}#clé "\\%_\U0001f512', name + "#" + "x" * 1900):
            holder = {"request_id": "é\U0001f512\n", "function": ""}
            assert _execute(store, acquire("a")._replace(name=each, holder=holder)).applied
            assert _row(store, each).holder == holder
            assert _row(store, each).name == each

    def test_leases_of_other_names_are_left_alone(self) -> None:
        """Neither a prefix nor another case of letters is the same name."""
        store, name = self.open_store(), _new_name()
        names = [f"{name}x", f"{name}X", f"{name}x#1", f"{name}x "]
        for each in names:
            assert _execute(store, acquire("a")._replace(name=each)).applied
        rows = [held_by("a", _row(store, each).token, until=30, name=each) for each in names]
        assert _execute(store, renew("a", 40)._replace(name=names[0])).applied
        assert [_row(store, each) for each in names[1:]] == rows[1:]

    def test_all_leases_are_listed(self) -> None:
        """`records` yields every row, whether it is held or not."""
        store, name = self.open_store(), _new_name()
        names = [f"{name}#{key}" for key in "abc"]
        for each in names:
            _execute(store, acquire("a")._replace(name=each))
        store.force_release(names[0])
        listed = [record for record in store.records() if record.name.startswith(name)]
        assert sorted(record.name for record in listed) == names
        assert sorted(listed) == [_row(store, each) for each in names]

    def test_a_forced_release_fences_the_former_holder(self) -> None:
        """It returns the row, in which the token is higher."""
        store, name = self.open_store(), _new_name()
        _execute(store, acquire("a")._replace(name=name))
        token = _row(store, name).token
        record = store.force_release(name)
        assert (record.owner, record.expires_at, record.token) == (None, None, token + 1)
        assert record == _row(store, name)

    def test_a_forced_release_of_an_unknown_lease_says_its_name(self) -> None:
        """It raises `LeaseConfigError`, and makes no row."""
        store, name = self.open_store(), _new_name()
        message = None
        try:
            store.force_release(name)
        except LeaseConfigError as error:
            message = str(error)
        assert message is not None, "force_release() of an unknown lease did not raise"
        assert name in message
        assert store.get(name) is None

    def test_of_callers_at_once_one_gets_the_lease(self) -> None:
        """Threads that share the store, each with an owner of its own."""
        store, name = self.open_store(), _new_name()
        owners = [f"owner-{number}" for number in range(CALLERS)]
        replies = _at_once(
            lambda owner: _execute(store, acquire(owner)._replace(name=name)), owners
        )
        winners = [owner for owner, reply in zip(owners, replies, strict=True) if reply.applied]
        assert winners == [_row(store, name).owner]

    def test_no_update_of_callers_at_once_is_lost(self) -> None:
        """Each ticket is counted, and no two callers get the same one."""
        store, name = self.open_store(), _new_name()
        _execute(store, acquire("a")._replace(name=name))
        replies = _at_once(
            lambda _: _execute(store, ticket(1)._replace(name=name)), range(4 * CALLERS)
        )
        numbers = sorted(reply.record.tickets for reply in replies if reply.record)
        assert numbers == list(range(1, 4 * CALLERS + 1))
        assert _row(store, name).tickets == 4 * CALLERS

    def _check(self, case: Case) -> None:
        store, name = self.open_store(), _new_name()
        for operation in case.given.operations:
            reply = _execute(store, operation._replace(name=name))
            assert reply.applied, f"{operation} was refused"
        before = _named(case.given.row, name)
        _same("the row before is", store.get(name), before)
        reply = _execute(store, case.operation._replace(name=name))
        assert reply.applied is (case.after is not None), f"{case.says}: applied is {reply.applied}"
        after = _named(case.after, name) if reply.applied else before
        # A store may return no row with a refusal: the caller then asks for it.
        if case.operation.wants_row if reply.applied else reply.record is not None:
            _same(f"{case.says}: the reply has", reply.record, after)
        _same(f"{case.says}: the row is", store.get(name), after)


def _test_of(case: Case) -> Callable[[Any], None]:
    def test(self: StoreContract) -> None:
        self._check(case)

    test.__doc__ = case.says.capitalize() + "."
    return test


for _case in CASES:
    _name = "test_" + re.sub(r"\W+", "_", _case.says.replace("'", ""))
    setattr(StoreContract, _name, _test_of(_case))


def _same(what: str, actual: object, expected: object) -> None:
    # pytest explains asserts of its own modules only.
    assert actual == expected, f"{what} {actual}, not {expected}"


def _new_name() -> str:
    return f"contract-{uuid.uuid4().hex}"


def _named(row: LeaseRecord | None, name: str) -> LeaseRecord | None:
    return None if row is None else row._replace(name=name)


def _execute(store: LeaseStore, operation: AnyOperation) -> Reply:
    return store.execute(operation, timeout=TIMEOUT)


def _row(store: LeaseStore, name: str) -> LeaseRecord:
    record = store.get(name)
    assert record is not None, f"there is no row {name!r}"
    return record


def _at_once(ask: Callable[[Any], Reply], callers: Any) -> list[Reply]:
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(ask, callers))
