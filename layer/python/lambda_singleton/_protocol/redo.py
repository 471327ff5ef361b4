"""Doing once more what was done."""

from typing import NamedTuple

from .operation import Value
from .record import LeaseRecord


class Redo(NamedTuple):
    """Forget what was done and begun, so that it may be done once more: for people."""

    name: str
    now: int

    @property
    def condition(self) -> str:
        return "attribute_exists(#done) OR attribute_exists(#begun)"

    def allows(self, record: LeaseRecord | None) -> bool:
        return record is not None and (record.done is not None or record.begun is not None)

    @property
    def update(self) -> str:
        return "SET #expiration = :expiration REMOVE #done, #begun"

    def apply(self, record: LeaseRecord | None) -> LeaseRecord:
        assert record is not None
        return record._replace(done=None, begun=None)

    @property
    def values(self) -> dict[str, Value]:
        return {}

    @property
    def in_use_until(self) -> int:
        return self.now

    @property
    def wants_row(self) -> bool:
        return True

    def leaves(self, name: str | None, owner: str | None) -> bool:  # noqa: ARG002
        return name == self.name
