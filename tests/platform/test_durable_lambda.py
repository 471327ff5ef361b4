"""A durable function in the local Lambda: AWS's runtime client, the SDK, and a real engine."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aws_durable_execution_sdk_python.lambda_service import InvocationStatus, OperationUpdate

from lambda_singleton import DynamoDBStore, LeaseHeldError, Lock
from local_lambda import Function

from .test_durable import run

HANDLERS = Path(__file__).parents[1] / "handlers"


class Service:
    """Lambda's API for checkpoints, in front of the SDK's own test runner."""

    def __init__(self) -> None:
        #: The runner's, of the invocation that is under way.
        self.client: Any = None
        self.arn = ""

    @contextmanager
    def serving(self) -> Iterator[str]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                output = service.client.checkpoint(
                    service.arn,
                    asked["CheckpointToken"],
                    [OperationUpdate.from_dict(update) for update in asked.get("Updates", [])],
                    asked.get("ClientToken"),
                )
                state = output.new_execution_state
                answer = {
                    "CheckpointToken": output.checkpoint_token,
                    "NewExecutionState": {
                        "Operations": [operation.to_dict() for operation in state.operations]
                    },
                }
                body = json.dumps(answer, default=datetime.timestamp).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def test_one_lease_over_two_waits_and_a_crash(
    lambda_variables: Mapping[str, str], table: str, name: str, tmp_path: Path
) -> None:
    service, store = Service(), DynamoDBStore(table)
    over, held, entered = threading.Event(), list[int](), list[int]()

    def compete() -> None:
        while not over.is_set():
            record = store.get(name)
            if record is not None and record.owner is not None:
                try:
                    with Lock(name, 60, store=store) as lease:
                        entered.append(lease.token)
                except LeaseHeldError:
                    held.append(record.token)
            time.sleep(0.05)

    with service.serving() as endpoint:
        variables = {**lambda_variables, "LEASE": name, "AWS_ENDPOINT_URL_LAMBDA": endpoint}
        with Function("long_job.handler", variables=variables, task_root=HANDLERS) as function:

            def in_lambda(event: Any, context: Any) -> Any:
                service.client, service.arn = event.service_client, event.durable_execution_arn
                outcome = function.invoke(event.to_json_dict())
                # The runner's event loop would be collected in somebody else's test.
                service.client = None
                if outcome.error_type:
                    raise RuntimeError(outcome.error_type)
                return outcome.result

            competitor = threading.Thread(target=compete)
            competitor.start()
            try:
                result = run(
                    in_lambda, json.dumps({"crashed": str(tmp_path / "crashed")}), has_threads=True
                )
            finally:
                over.set()
                competitor.join()
            logs = "\n".join(function.logs)
    assert result.status is InvocationStatus.SUCCEEDED, logs
    assert json.loads(result.result) == ["one", "two", "three"]
    attempts = re.findall(r"attempt token=(\d+) pid=(\d+)", logs)
    tokens = [int(token) for token, _ in attempts]
    assert len(tokens) == 4
    assert tokens == sorted(set(tokens))
    assert len({pid for _, pid in attempts}) == 2
    # Others tried all the time, also while it was suspended and after it had crashed.
    assert len(held) > 20
    assert set(held) >= set(tokens[:3])
    # The last may have come as it was given back.
    assert all(token > tokens[-1] for token in entered)
    record = store.get(name)
    assert record is not None
    assert record.owner is None
    assert record.last_run is not None
    assert record.last_run["outcome"] == "succeeded"
