"""What a user feels of a function: INIT and its invocations, over TLS, on a share of a core."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from botocore.httpsession import get_cert_path

from local_lambda.tls import Tls

from .bench import Bench
from .contenders import FLOOR
from .measure import Spread, Usage, in_turns
from .quota import PERIOD, Quota, means
from .relay import Relay
from .table import Table

FUNCTION = Path(__file__).parent / "function.py"
#: The share of a core that a function of 128 MB has is the first.
SHARES = (0.07, 0.25, 0.5, 1.0)
WARM = 5

CONTENDERS = {
    "F, client made at import": (FLOOR, {}),
    "Powertools idempotency": ("Powertools idempotency", {}),
    "@singleton": ("@singleton", {}),
    "@singleton, direct": ("@singleton, direct", {}),
    "@singleton, nothing prepared": ("@singleton", {"SINGLETON_PREPARE": "false"}),
}
NO_LIMIT = 1.0


class Life(NamedTuple):
    """What one function took: in INIT, and in its first, a warm and a reconnecting invocation."""

    init: Usage
    first: Usage
    warm: Usage
    reconnected: Usage
    memory: int


def measure(bench: Bench) -> list[Table]:
    """Start functions in turns, and invoke them."""
    titles = [title for title, (name, _) in CONTENDERS.items() if name in bench.contenders]
    shares = bench.pick(full=SHARES, short=(SHARES[0], NO_LIMIT))
    with TemporaryDirectory() as folder, Tls(bench.endpoint) as tls, Relay(tls.endpoint) as relay:
        environment = _environment(tls, relay, Path(folder))
        turns = {
            (title, share): partial(_live, bench, title, share, environment, relay)
            for share in shares
            for title in titles
        }
        lives = in_turns(bench.pick(full=9, short=2), turns)
    floors = {share: lives["F, client made at import", share] for share in shares}
    return [
        _invocations(lives, floors, "first"),
        _invocations(lives, floors, "warm"),
        _invocations(lives, floors, "reconnected"),
        _processes({title: lives[title, NO_LIMIT] for title in titles}, floors[NO_LIMIT]),
    ]


def _invocations(
    lives: Mapping[tuple[str, float], list[Life]], floors: Mapping[float, list[Life]], which: str
) -> Table:
    told = {
        "first": "the first of a function",
        "warm": f"a warm one, the median of {WARM}",
        "reconnected": "one whose connection was closed before",
    }[which]
    table = Table(
        f"Invocations: {told}",
        "Milliseconds that the lease adds, and in units of F in the same round, by the share of a"
        f" core. INIT has a whole core; the share is that of {means()} of {PERIOD * 1000:.0f} ms.",
    )
    for title in dict.fromkeys(title for title, _ in lives):
        row: dict[str, str | Spread | None] = {"contender": title}
        for share, floor in floors.items():
            took = [getattr(life, which).wall for life in lives[title, share]]
            bare = [getattr(life, which).wall for life in floor]
            row[f"{share:.0%}, ms"] = Spread.of(seconds * 1000 for seconds in took)
            row[f"{share:.0%} / F"] = Spread.of(a / b for a, b in zip(took, bare, strict=True))
        table.rows.append({**row})
    return table


def _processes(lives: Mapping[str, list[Life]], floors: list[Life]) -> Table:
    table = Table(
        "Invocations: CPU and memory",
        "Over TLS, without a limit. Cold: INIT and the first invocation. A cycle: a warm one.",
    )
    for title, own in lives.items():
        pairs = list(zip(own, floors, strict=True))
        table.rows.append(
            {
                "contender": title,
                "INIT, ms": Spread.of(life.init.wall * 1000 for life in own),
                "cold, CPU / F": Spread.of(_cold(life) / _cold(floor) for life, floor in pairs),
                "cycle, CPU / F": Spread.of(life.warm.cpu / f.warm.cpu for life, f in pairs),
                "memory, MB": Spread.of(life.memory / 2**20 for life in own),
                "memory / F": Spread.of(life.memory / floor.memory for life, floor in pairs),
            }
        )
    return table


def _cold(life: Life) -> float:
    return life.init.cpu + life.first.cpu


def _environment(tls: Tls, relay: Relay, folder: Path) -> dict[str, str]:
    """Return the variables of a function, with authorities and a token of real length."""
    bundle = folder / "authorities.pem"
    public = Path(str(get_cert_path(True))).read_text()
    bundle.write_text(public + Path(tls.authority).read_text())
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": relay.endpoint,
        "AWS_CA_BUNDLE": str(bundle),
        "AWS_SESSION_TOKEN": "t" * 900,
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_LAMBDA_FUNCTION_NAME": "reports",
        # Importing Powertools for metrics is not the lease's.
        "SINGLETON_METRICS_DISABLED": "true",
    }


def _live(
    bench: Bench, title: str, share: float, environment: Mapping[str, str], relay: Relay
) -> Life:
    name, variables = CONTENDERS[title]
    process = subprocess.Popen(
        [sys.executable, FUNCTION, name, bench.table(name)],
        env={**environment, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def told() -> tuple[Usage, int]:
        assert process.stdout is not None
        cpu, wall, memory = process.stdout.readline().split()
        return Usage(float(cpu), float(wall)), int(memory)

    def invoke() -> tuple[Usage, int]:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return told()

    # The quota ends first: until it is waited for, nobody else has the process's number.
    with process, Quota(process.pid) as quota:
        try:
            init, _ = told()
            quota.limit(share)
            first, memory = invoke()
            warm = [invoke()[0] for _ in range(WARM)]
            relay.hang_up()
            reconnected, _ = invoke()
        finally:
            process.kill()
    return Life(
        init,
        first,
        Usage(median(used.cpu for used in warm), median(used.wall for used in warm)),
        reconnected,
        memory,
    )
