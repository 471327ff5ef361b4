"""Checks of a Lambda function that takes leases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lambda_singleton import LeaseRecord
from lambda_singleton._stores.table import TABLE

from .answer import Answer, ask
from .finding import Finding, ok, problem, unknown, warning
from .table_checks import refused
from .times import length

#: The first of Lambda's Pythons that the package works with.
_OLDEST = (3, 11)

#: A lease shorter than this, in seconds, is lost when DynamoDB is slow for a moment.
_SHORT = 5

#: How long a crash may block a job before it is worth a warning, in seconds.
_LONG = 60


def function_checks(
    functions: Any, function: str, table: str, records: Sequence[LeaseRecord] | None
) -> Iterator[Finding]:
    """Look at the function's settings. `records` are the table's leases; None if unknown."""

    def named(finding: Finding) -> Finding:
        return finding._replace(check=f"{function}: {finding.check}")

    answer = ask(functions.get_function_configuration, FunctionName=function)
    if answer.code == "ResourceNotFoundException":
        yield named(
            problem("function", "there is no such function", "look for its name and Region")
        )
        return
    if answer.code:
        yield named(refused("function", answer, "lambda:GetFunctionConfiguration"))
        return
    configuration = answer.response
    yield named(_runtime(configuration))
    yield named(_durable(configuration))
    yield named(_variable(configuration, table))
    yield named(_logging(configuration))
    retries = ask(functions.get_function_event_invoke_config, FunctionName=function)
    yield named(_retries(retries))
    for finding in _durations(configuration, records):
        yield named(finding)


def _runtime(configuration: dict[str, Any]) -> Finding:
    runtime = configuration.get("Runtime", "an image")
    found = re.fullmatch(r"python(\d+)\.(\d+)", runtime)
    if found is None:
        return unknown("runtime", f"{runtime}: it needs Python {_OLDEST[0]}.{_OLDEST[1]} or later")
    if (int(found[1]), int(found[2])) < _OLDEST:
        return problem("runtime", f"{runtime} is too old", "use python3.11 or later")
    return ok("runtime", runtime)


def _durable(configuration: dict[str, Any]) -> Finding:
    if configuration.get("DurableConfig"):
        return problem(
            "durable",
            "a durable function: @singleton refuses it",
            "take a Lock inside one of its steps",
        )
    return ok("durable", "no")


def _variable(configuration: dict[str, Any], table: str) -> Finding:
    variables = configuration.get("Environment", {}).get("Variables", {})
    named = variables.get(TABLE)
    if named == table:
        return ok(TABLE, table)
    if variables.get("SINGLETON_DISABLED", "").strip().lower() in ("true", "yes", "on", "1"):
        return problem(TABLE, "SINGLETON_DISABLED is on: it runs without leases", "remove it")
    if named is None:
        return warning(TABLE, "not set", f"set it to {table}, unless the code names the table")
    return problem(TABLE, f"it is {named}, another table", f"set it to {table}, or check that one")


def _logging(configuration: dict[str, Any]) -> Finding:
    said = configuration.get("LoggingConfig", {})
    mend = "LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO}"
    if said.get("LogFormat") != "JSON":
        return warning("logging", "in text: Python shows warnings only, no run and no skip", mend)
    level = said.get("ApplicationLogLevel", "INFO")
    if level not in ("TRACE", "DEBUG", "INFO"):
        return warning("logging", f"from {level} on: neither runs nor skips nor metrics", mend)
    return ok("logging", f"JSON, from {level} on")


def _retries(answer: Answer) -> Finding:
    if answer.code not in ("", "ResourceNotFoundException"):
        return refused("retries", answer, "lambda:GetFunctionEventInvokeConfig")
    attempts = answer.response.get("MaximumRetryAttempts", 2)
    if attempts == 2 and answer.code:
        return warning(
            "retries",
            "Lambda's default: an asynchronous invocation that fails is run twice more, also one"
            " that fails since the lease is held",
            'on_held="skip" for schedules; MaximumRetryAttempts as the job needs it',
        )
    return ok("retries", f"{attempts} for an asynchronous invocation that fails")


def _durations(
    configuration: dict[str, Any], records: Sequence[LeaseRecord] | None
) -> Iterator[Finding]:
    timeout = configuration["Timeout"]
    if timeout == 3:
        yield warning("timeout", "Lambda's default of 3 s", "set Timeout as the job needs it")
    if records is None:
        yield unknown("durations", "you may not read the table", "allow yourself dynamodb:Scan")
        return
    own = [
        record
        for record in records
        if (record.holder or {}).get("function") == configuration["FunctionName"]
        and record.duration is not None
    ]
    if not own:
        yield unknown("durations", "it has taken no lease yet")
    for record in own:
        yield _duration(record.name, record.duration or 0.0, timeout)


def _duration(name: str, duration: float, timeout: int) -> Finding:
    check = f"duration of {name}"
    lasts = f"{length(duration)}, in invocations of {length(timeout)} at most"
    if duration < _SHORT:
        return warning(
            check,
            f"{lasts}: a store that is slow for a moment costs the handler its lease",
            f"a duration of {_SHORT} s or more",
        )
    if duration >= timeout > _LONG:
        return warning(
            check,
            f"{lasts}: a run that crashes early blocks the next one until its deadline",
            "a shorter duration, which is renewed",
        )
    return ok(check, lasts)
