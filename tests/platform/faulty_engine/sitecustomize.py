"""Loaded by the embedded engine: its state machines' calls fail as a plan says.

The plan is a JSON file at FAULTS: for each kind of call a list of what happens to the next ones, in
order. A call that nothing is planned for is really made.

    {"error": NAME}                    it fails, and does nothing
    {"error": NAME, "applied": true}   it is made, and its reply is lost
    {"result": ...}                    it is not made, and answers this

With "pause" the answer comes that many seconds later.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from ministack.services import stepfunctions

PLAN = Path(os.environ["FAULTS"])
really_invoke = stepfunctions._invoke_resource


def kind_of(resource: str, arguments: dict[str, Any]) -> str:
    if "lambda" in resource:
        return "invoke"
    if "getItem" in resource:
        return "look"
    return "return" if "REMOVE" in arguments["UpdateExpression"] else "take"


def next_fault(kind: str) -> dict[str, Any] | None:
    plan = json.loads(PLAN.read_text())
    fault: dict[str, Any] | None = plan[kind].pop(0) if plan.get(kind) else None
    PLAN.write_text(json.dumps(plan))
    return fault


def invoke(resource: str, arguments: dict[str, Any]) -> Any:
    fault = next_fault(kind_of(resource, arguments))
    if fault is None:
        return really_invoke(resource, arguments)
    if fault.get("applied"):
        really_invoke(resource, arguments)
    time.sleep(fault.get("pause", 0))
    if "error" in fault:
        raise stepfunctions._ExecutionError(fault["error"], f"{fault['error']} by the plan")
    return fault["result"]


stepfunctions._invoke_resource = invoke
