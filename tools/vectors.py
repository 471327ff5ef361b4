"""`make vectors`: write the protocol's cases as data, for clients in other languages.

The cases are the testkit's; `docs/wire-protocol.md` explains the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambda_singleton._stores.rows import Rows
from lambda_singleton.stores import LeaseRecord, Loan, Progress, Success
from lambda_singleton_testkit.cases import CASES, AnyOperation, Case

FILE = Path(__file__).parents[1] / "docs" / "vectors.json"
ROWS = Rows(key_attr="id", ttl_attr="expiration")
#: Seconds for which a row is kept after its last use.
RETENTION = 7 * 86_400

#: Parameters that are left out where they are not used: who does not know them needs none.
OFF_BY_DEFAULT = ("order", "unless", "done", "clears", "success")

#: Items that are no leases, in DynamoDB's own form: a client refuses them all.
UNREADABLE: Mapping[str, dict[str, Any]] = {
    "no key": {"token": {"N": "7"}},
    "a key that is no string": {"id": {"N": "7"}, "token": {"N": "7"}},
    "a token that is no number": {"token": {"S": "7"}},
    "a token below zero": {"token": {"N": "-7"}},
    "a token with a fraction": {"token": {"N": "7.5"}},
    "a token with an exponent": {"token": {"N": "7E+20"}},
    "a token of more than 63 bits": {"token": {"N": "9223372036854775808"}},
    "an owner that is no string": {
        "token": {"N": "7"},
        "owner": {"N": "1"},
        "expires_at_ms": {"N": "1800000030000"},
    },
    "an owner of more than 255 characters": {
        "token": {"N": "7"},
        "owner": {"S": "o" * 256},
        "expires_at_ms": {"N": "1800000030000"},
    },
    "an owner without an expiry": {"token": {"N": "7"}, "owner": {"S": "a"}},
    "an expiry that is no number": {"token": {"N": "7"}, "expires_at_ms": {"S": "soon"}},
    "an expiry after the year 9999": {
        "token": {"N": "7"},
        "expires_at_ms": {"N": "253402300800000"},
    },
    "a duration below zero": {"token": {"N": "7"}, "duration_ms": {"N": "-1"}},
    "a done order that is neither a number nor a text": {
        "token": {"N": "7"},
        "done": {"BOOL": True},
    },
    "a begun order below zero": {"token": {"N": "7"}, "begun": {"N": "-1"}},
    "progress that is no text": {
        "token": {"N": "7"},
        "progress": {"N": "1"},
        "progress_token": {"N": "7"},
        "progress_seq": {"N": "1"},
    },
    "progress without its step": {
        "token": {"N": "7"},
        "progress": {"S": "1"},
        "progress_token": {"N": "7"},
    },
    "a success that is no number": {
        "token": {"N": "7"},
        "succeeded": {"S": "7"},
        "succeeded_by": {"S": "/rebuild"},
    },
    "a success without its work": {"token": {"N": "7"}, "succeeded": {"N": "7"}},
    "a baton that is no string": {
        "token": {"N": "7"},
        "baton": {"N": "1"},
        "baton_token": {"N": "7"},
    },
    "a baton without its token": {"token": {"N": "7"}, "baton": {"S": "execution"}},
    "an attempt's end that is no number": {
        "token": {"N": "7"},
        "baton": {"S": "execution"},
        "baton_token": {"N": "7"},
        "attempt_until_ms": {"S": "soon"},
    },
    "tickets that are no number": {"token": {"N": "7"}, "tickets": {"BOOL": True}},
}


def attributes(record: LeaseRecord, expiration: int | None) -> dict[str, Any]:
    """Return the row's attributes, each a plain JSON value; those that it lacks are left out."""
    row = {
        "id": record.name,
        "token": record.token,
        "owner": record.owner,
        "expires_at_ms": _ms(record.expires_at),
        "duration_ms": _ms(record.duration),
        "holder": record.holder,
        "last_run": record.last_run,
        "taken_from": record.taken_from,
        "tickets": record.tickets or None,
        "served": record.served or None,
        "done": record.done,
        "begun": record.begun,
        "progress": None if record.progress is None else record.progress.text,
        "progress_token": None if record.progress is None else record.progress.token,
        "progress_seq": None if record.progress is None else record.progress.seq,
        "succeeded": None if record.success is None else record.success.token,
        "succeeded_by": None if record.success is None else record.success.work,
        "baton": None if record.loan is None else record.loan.execution,
        "baton_token": None if record.loan is None else record.loan.token,
        "attempt_until_ms": None if record.loan is None else _ms(record.loan.until),
        "expiration": expiration,
    }
    return {name: value for name, value in row.items() if value is not None}


def record_of(row: Mapping[str, Any]) -> LeaseRecord:
    """Return the record of a row's attributes."""
    return LeaseRecord(
        name=row["id"],
        token=row["token"],
        owner=row.get("owner"),
        expires_at=_s(row.get("expires_at_ms")),
        holder=row.get("holder"),
        last_run=row.get("last_run"),
        duration=_s(row.get("duration_ms")),
        tickets=row.get("tickets", 0),
        served=row.get("served", 0),
        taken_from=row.get("taken_from"),
        done=row.get("done"),
        begun=row.get("begun"),
        progress=progress_of(row),
        success=success_of(row),
        loan=loan_of(row),
    )


def loan_of(row: Mapping[str, Any]) -> Loan | None:
    """Return the loan of a row's attributes."""
    if "baton" not in row:
        return None
    return Loan(row["baton"], row["baton_token"], _s(row.get("attempt_until_ms")))


def progress_of(row: Mapping[str, Any]) -> Progress | None:
    """Return the progress of a row's attributes."""
    if "progress" not in row:
        return None
    return Progress(row["progress"], row["progress_token"], row["progress_seq"])


def success_of(row: Mapping[str, Any]) -> Success | None:
    """Return the success of a row's attributes."""
    return Success(row["succeeded"], row["succeeded_by"]) if "succeeded" in row else None


def vector(case: Case) -> dict[str, Any]:
    """Return a case as data."""
    expiration = None
    for operation in case.given.operations:
        expiration = _expiration(operation, expiration)
    request = ROWS.request(case.operation, case.operation.in_use_until // 1000 + RETENTION)
    before = None if case.given.row is None else attributes(case.given.row, expiration)
    after = (
        {"refused": True}
        if case.after is None
        else {"row_after": attributes(case.after, _expiration(case.operation, expiration))}
    )
    return {
        "case": case.says,
        "row": before,
        "operation": parameters(case.operation),
        "request": {
            name: request[name]
            for name in (
                "ConditionExpression",
                "UpdateExpression",
                "ExpressionAttributeNames",
                "ExpressionAttributeValues",
            )
        },
        **after,
    }


def parameters(operation: AnyOperation) -> dict[str, Any]:
    """Return an operation's kind and parameters; times and lengths are in milliseconds."""
    given = {
        name: value
        for name, value in operation._asdict().items()
        if value or name not in OFF_BY_DEFAULT
    }
    for name in ("progress", "unless", "success"):
        if given.get(name) is not None:
            given[name] = given[name]._asdict()
    if (seen := given.get("seen")) is not None:
        given["seen"] = {
            "token": seen.token,
            "owner": seen.owner,
            "expires_at_ms": _ms(seen.expires_at),
        }
    return {"kind": type(operation).__name__, **given}


def text() -> str:
    """Return the file's text."""
    data = {
        "protocol": 1,
        "retention": RETENTION,
        "vectors": [vector(case) for case in CASES],
        "unreadable": [
            {"case": says, "item": item if "key" in says else {"id": {"S": "job"}, **item}}
            for says, item in UNREADABLE.items()
        ],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _expiration(operation: AnyOperation, former: int | None) -> int | None:
    if ":expiration" not in operation.update:
        return former
    return operation.in_use_until // 1000 + RETENTION


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _s(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


if __name__ == "__main__":
    FILE.write_text(text())
