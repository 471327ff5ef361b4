"""A batch of SQS messages with a lease for each order, by Powertools' batch processor.

A message whose order is at work elsewhere fails alone, and comes again after the queue's visibility
timeout. The function's event source needs `FunctionResponseTypes: [ReportBatchItemFailures]`.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambda_singleton import Lease, Lock

# An error for a batch of which nothing could be done would be an alarm about contention.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
shipped: list[tuple[str, int]] = []


def ship(order: str, lease: Lease) -> None:
    """Stand for the real work."""
    shipped.append((order, lease.token))


def record_handler(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Ship the order of one message, while nobody else works on it."""
    order = record.json_body["order"]
    # `LeaseHeldError` and `LeaseLostError` make this message, and no other, come again.
    with Lock(f"order#{order}", 30, context=lambda_context) as lease:
        ship(order, lease)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Handle each message of the batch, and name those that failed."""
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
