"""AWS's answer to one question: a response, or a refusal by code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from lambda_singleton import LeaseStoreError

#: Codes of a caller who may not ask.
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


class Answer(NamedTuple):
    """`response` is empty if `code` is not."""

    response: dict[str, Any]
    code: str = ""
    message: str = ""

    @property
    def is_denied(self) -> bool:
        """Whether the caller may not ask."""
        return self.code in DENIED


def ask(call: Callable[..., Any], **arguments: Any) -> Answer:
    """Make one call. Raises `LeaseStoreError` if nobody answers."""
    try:
        return Answer(call(**arguments))
    except ClientError as error:
        said = error.response.get("Error", {})
        return Answer({}, said.get("Code", "unknown"), said.get("Message", str(error)))
    except BotoCoreError as error:
        raise LeaseStoreError(f"AWS could not be asked: {error}") from error
