"""Which account, Region and endpoint a command looks at."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from lambda_singleton._errors import LeaseConfigError
from lambda_singleton._protocol.term import REQUEST_TIMEOUT
from lambda_singleton._text import told


def client(options: Namespace) -> Any:
    """Return a client for `--region`, `--profile` and `--endpoint-url`; None if none is given.

    A profile that is asked for comes before credentials in the environment, as with `aws`. Raises
    `LeaseConfigError` if there is no such profile or Region, or no boto3.
    """
    if not (options.region or options.profile or options.endpoint_url):
        return None
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise LeaseConfigError(
            "--region, --profile and --endpoint-url need boto3: pip install 'lambda-singleton[cli]'"
        ) from error
    config = Config(
        connect_timeout=REQUEST_TIMEOUT * 0.4,
        read_timeout=REQUEST_TIMEOUT * 0.6,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    try:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
        return session.client("dynamodb", endpoint_url=options.endpoint_url, config=config)
    except Exception as error:
        raise LeaseConfigError(f"boto3 could not make a client: {told(error)}") from None
