"""A lease is lost while uvloop runs. Arguments: "sync" or "async", the name of what is done."""

from __future__ import annotations

import json
import sys

from lambda_singleton import singleton

from .. import loops
from ..stores import ScriptedStore, no_renewals

KIND, NAME = sys.argv[1:]


def main() -> None:
    store = ScriptedStore()
    store.before = no_renewals()
    # Steps longer than the switch interval: below it uvloop starves other threads.
    diary = loops.Diary(0.02)
    work = next(work for work in loops.WORK if work.__name__ == NAME)
    ends = []

    @singleton("x", 1.5, store=store)
    def handler(event: object, context: object) -> None:
        ends.append(store.end_of("x"))
        loops.run_with_uvloop(loops.as_coroutine(work(diary)))

    @singleton("x", 1.5, store=store)
    async def async_handler(event: object, context: object) -> None:
        ends.append(store.end_of("x"))
        await work(diary)

    left = "normally"
    try:
        if KIND == "sync":
            handler({}, None)
        else:
            loops.run_with_uvloop(async_handler({}, None))
    except BaseException as error:
        left = type(error).__name__
    print(json.dumps({"left": left, "in time": 0 < diary.last <= ends[0]}))


if __name__ == "__main__":
    main()
