"""A job that runs one at a time. Its lease is renewed: a crash blocks the next run for 61 s."""

from typing import Any

from lambda_singleton import Lease, singleton


@singleton("job", duration=60, on_held="skip")
def handler(event: dict[str, Any], context: object, lease: Lease) -> dict[str, Any]:
    """Do the work."""
    return {"status": "done", "token": lease.token}
