"""`lambda-singleton watch`: look again and again, and tell what has changed."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Sequence
from contextlib import suppress

from lambda_singleton._clock import utc
from lambda_singleton._errors import LeaseStoreError
from lambda_singleton._protocol.record import LeaseRecord
from lambda_singleton._protocol.store import LeaseStore

from ..changes import Change, Kind, changes
from ..notices import Once, warnings_to
from ..place import table
from ..renderer import renderer
from ..screen import Picture, is_screen
from ..status import Status
from ..terminal_text import message, quoted

#: How many changes are kept for the screen.
_KEPT = 100


class Watch:
    """Compares each look with the one before. Without `names` it looks at all leases."""

    def __init__(self, store: LeaseStore, names: Sequence[str]) -> None:
        self.statuses: dict[str, Status] = {}
        self._store = store
        self._names = names
        self._has_looked = False

    def look(self) -> list[Change]:
        """Read the leases, and return what has changed since the last look that succeeded."""
        before = self.statuses
        after = {record.name: Status.of(record, self._store) for record in self._read()}
        self.statuses = dict(sorted(after.items()))
        found = list(changes(before, after)) if self._has_looked else []
        self._has_looked = True
        return found

    @property
    def missing(self) -> list[str]:
        """The names that nobody has taken yet."""
        return [name for name in self._names if name not in self.statuses]

    def _read(self) -> Iterable[LeaseRecord]:
        if not self._names:
            return self._store.records()
        return [record for name in self._names if (record := self._store.get(name)) is not None]


def run(options: Namespace, store: LeaseStore) -> int:
    """Watch until somebody presses Ctrl-C."""
    watch = Watch(store, options.names)
    with suppress(KeyboardInterrupt):
        if is_screen() and not options.json:
            _on_screen(watch, store, options.interval)
        else:
            _in_lines(watch, store, options)
    return 0


def _in_lines(watch: Watch, store: LeaseStore, options: Namespace) -> None:
    tell = Once()
    while True:
        try:
            found = watch.look()
        except LeaseStoreError as error:
            tell(message(f"{error}; trying again"))
            found = []
        for change in found:
            text = " ".join([utc(change.status.now), *change.texts])
            print(json.dumps(change.as_json()) if options.json else text, flush=True)
        store.clock.sleep(options.interval)


def _on_screen(watch: Watch, store: LeaseStore, interval: float) -> None:
    kept: list[Change] = []
    notes: list[str] = []
    with renderer().live() as show, warnings_to(notes.append):
        while True:
            notes[:] = []
            try:
                kept = remember(kept, watch.look())
            except LeaseStoreError as error:
                notes.append(message(f"{error}; trying again"))
            notes += [f"nobody has taken {quoted(name)} yet" for name in watch.missing]
            now = utc(store.clock.time())
            title = f"{table(store)} at {now[11:19]} UTC, every {interval:g} s, Ctrl-C ends"
            show(Picture.of(title, watch.statuses.values(), kept, notes))
            store.clock.sleep(interval)


def remember(kept: Sequence[Change], found: Iterable[Change]) -> list[Change]:
    """Add changes to those that are kept; a lease's renewals in a row are one."""
    together = list(kept)
    for change in found:
        name = change.status.record.name
        last = next((one for one in reversed(together) if one.status.record.name == name), None)
        if last is not None and last.kind is change.kind is Kind.RENEWED:
            together.remove(last)
            change = change._replace(times=last.times + 1)  # noqa: PLW2901
        together.append(change)
    return together[-_KEPT:]
