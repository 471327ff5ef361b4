"""One run at a time for each tenant, whom Lambda names: the event need not, and cannot lie."""

from typing import Any

from lambda_singleton import Lease, singleton


def tenant_of(event: object, context: Any) -> str:
    """Return the tenant whose environment this is."""
    tenant: str = context.tenant_id
    return tenant


@singleton("tenant-sync", duration=60, key=tenant_of, on_held="skip")
def handler(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, Any]:
    """Synchronise one tenant. Its lease is `tenant-sync#<tenant>`."""
    return {"status": "synchronised", "tenant": context.tenant_id, "token": lease.token}
