"""What may be written after `lambda-singleton`, and what `--help` says about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from lambda_singleton import __version__
from lambda_singleton._stores.table import TABLE

from .status import State
from .timeline.log import MOST_DECISIONS
from .times import seconds_of

#: A pause ends by itself after this at the latest, in seconds.
_LONGEST_PAUSE = 30 * 86_400.0

#: Each invocation is a process.
_MOST_INVOCATIONS = 64

_STATES = "states:\n" + "\n".join(f"  {state:8} {state.meaning}" for state in State)

_CODES = """\
exit codes:
  0  done
  1  no answer from the store, or something to configure: the message says what
  2  usage error, or not a terminal where a question is asked
  3  there is no such lease
  4  the question was answered with no
  5  doctor has found a problem
  75 somebody runs: nothing was changed; `run` has codes of its own"""

_EXAMPLES = f"""\
examples:
  export {TABLE}=leases            or give --table with each command
  lambda-singleton list                     all leases, sorted by name
  lambda-singleton show nightly-report      who has it, and where their logs are
  lambda-singleton watch                    what happens to all leases, live
  lambda-singleton release nightly-report   force-release it (asks first)
  lambda-singleton pause nightly-report --for 2h       nobody runs meanwhile
  lambda-singleton run nightly-report -- ./report.sh   a command, one at a time"""

_LIST = f"""\
{_STATES}

Times are UTC, and are judged by this machine's clock. A narrow terminal gets
fewer columns; a pipe gets all of them. Rows that are not leases are ignored.

examples:
  lambda-singleton list
  lambda-singleton list 'tenant-sync#*' --state held --state dead
  lambda-singleton list --json | jq -r '.[] | select(.state == "dead") | .name'"""

_SHOW = f"""\
{_STATES}

examples:
  lambda-singleton show nightly-report
  lambda-singleton show 'tenant-sync#a41'    the lease of one key
  lambda-singleton show nightly-report --json | jq .holder.log_stream

Exits with 3 if there is no such lease."""

_WATCH = """\
On a terminal: one screen with the leases and the latest changes, until Ctrl-C.
Without a terminal, and with --json: one line for each change, and nothing for
what was there before.

changes:
  acquired        taken while it was free
  renewed         its end was moved on
  released        given back by its holder
  expired         not renewed in time: anybody may take it over
  taken over      acquired from a holder that died
  freed by force  by `lambda-singleton release`, or `force_release`
  gone            its row was deleted, or is not a lease's any more

Of what happens between two looks, only what the rows still tell is seen. A
look at all leases reads the whole table; with names, only their rows.

examples:
  lambda-singleton watch
  lambda-singleton watch nightly-report reindex --interval 0.5
  lambda-singleton watch --json | jq -r 'select(.change == "expired") | .name'"""

_RELEASE = """\
This raises the token, so that the former holder is fenced: writes that are
guarded by the token are refused to it as soon as a later holder has written.
It notices with its next renewal, and is interrupted; one that does not renew
never notices. Nothing else stops it: look for it first (`show` says where).
The answer is about the holder that was shown: if another one has come since,
you are asked again, and --yes frees the one that was there at the last look.
A dead holder's lease needs no release: the next caller takes it over.

examples:
  lambda-singleton release nightly-report
  lambda-singleton release nightly-report --yes    do not ask: for scripts

Exits with 3 if there is no such lease, and with 4 if the answer was no."""

_PAUSE = """\
It is taken by you, and nobody renews it: after that time it is free again. Those
who are refused meanwhile have "reason": "paused" in their skip or error. If
somebody runs, nothing is changed: wait for their end with --wait. A second
pause moves the end on.

examples:
  lambda-singleton pause nightly-report --for 2h
  lambda-singleton pause 'tenant-sync#a41' --for 15min --wait 10min

Exits with 75 if somebody runs."""

_RESUME = """\
This ends a pause and nothing else: what a handler holds stays with it.

examples:
  lambda-singleton resume nightly-report

Exits with 3 if there is no such lease."""

_RUN = """\
The command finds SINGLETON_TOKEN and SINGLETON_LEASE in its environment. SIGHUP,
SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2 are passed on to it and to what it
has started; after SIGTERM it gets --grace to end. Its lease is renewed; if it is
lost, the command gets SIGTERM, and SIGKILL a tenth of --duration later (1 s at
most), before anybody else may start. What it leaves running in its process group
is ended as well, and then the lease is released.

exit codes:
  75   somebody else has the lease (0 with --on-held skip)
  70   the lease was lost, and the command was stopped
  69   no answer from the store
  78   something to configure: the message says what
  127  there is no such command; 126: it cannot be executed
  128 + N if signal N has ended it; all others are the command's own

examples:
  lambda-singleton run nightly-report -- ./report.sh --all
  lambda-singleton run deploy --wait 10min --duration 30 -- make deploy
  lambda-singleton run backup --on-held skip --min-hold 5min -- backup.sh"""

_LOCAL = """\
Each invocation has its process, under AWS's runtime client, with a kill at the
deadline, and a DynamoDB engine on this machine. Nothing of it reaches AWS. It
needs `pip install 'lambda-singleton[local]'`.

examples:
  lambda-singleton local nightly_report.handler --event event.json
  lambda-singleton local nightly_report.handler --event event.json -n 8
  lambda-singleton local app.handler --event event.json -n 4 --kill 1 --timeline page.html"""

_COMPLETION = """\
examples:
  source <(lambda-singleton completion bash)
  lambda-singleton completion fish > ~/.config/fish/completions/lambda-singleton.fish"""

_REDO = """\
Forgets what was done, and what has begun: the next delivery of the slot (`once`)
or of any order (`order`) runs again. It delivers nothing: invoke the function
with the event. A run that is at work is left alone.

examples:
  lambda-singleton redo 'hourly#2030-01-31T02:00:00Z'

Exits with 3 if there is no such lease."""

_DOCTOR = """\
Asks AWS about the table, about you and your clock, and about functions that
take leases. Nothing is changed: UpdateItem is tried with a condition that is
never true. What you may not ask is not checked, and says so.

verdicts:
  ok           nothing to do
  warning      it hurts in some cases
  problem      leases do not work, or do not protect
  not checked  nobody could tell

examples:
  lambda-singleton doctor
  lambda-singleton doctor --function nightly-report --function reindex
  lambda-singleton doctor --json | jq '.[] | select(.verdict == "problem")'

Exits with 5 if there is a problem."""

_TIMELINE = f"""\
The lines are those of functions that log in JSON, as they are, as `aws logs
tail` prints them, or in events exported from CloudWatch Logs. Other lines are
ignored. Of more than {MOST_DECISIONS:,} decisions, the latest are drawn.

examples:
  lambda-singleton timeline events.jsonl
  lambda-singleton timeline - --output night.html < events.jsonl"""


def parser() -> argparse.ArgumentParser:
    """Return the parser; `options.command` is the command's name."""
    return parsers()[0]


def parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser, and those of its commands by their names."""
    root = argparse.ArgumentParser(
        prog="lambda-singleton",
        description="Look at leases in DynamoDB, free them, and run commands under them.",
        epilog=f"{_EXAMPLES}\n\n{_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"lambda-singleton {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    known: dict[str, argparse.ArgumentParser] = {}

    def add(name: str, does: str, epilog: str = "", **more: Any) -> argparse.ArgumentParser:
        known[name] = commands.add_parser(
            name,
            help=does,
            description=f"{does[0].upper()}{does[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **more,
        )
        return known[name]

    place = _place()
    store = argparse.ArgumentParser(add_help=False, parents=[place])
    store.add_argument("--json", action="store_true", help="answer in JSON, for machines")
    _add_looks(add, store)
    _add_changes(add, store)
    _add_run(add, place)
    _add_the_rest(add, store)
    return root, known


Add = Callable[..., argparse.ArgumentParser]


def _place() -> argparse.ArgumentParser:
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--table", metavar="NAME", help=f"the table of leases (default: ${TABLE})")
    place.add_argument("--region", metavar="NAME", help="the Region (default: as with `aws`)")
    place.add_argument("--profile", metavar="NAME", help="a profile of ~/.aws/config")
    place.add_argument("--endpoint-url", metavar="URL", help="another DynamoDB than AWS's")
    return place


def _add_looks(add: Add, store: argparse.ArgumentParser) -> None:
    list_ = add("list", "list all leases", _LIST, parents=[store])
    list_.add_argument(
        "names", metavar="NAME", nargs="*", help="only these; * stands for any text (default: all)"
    )
    list_.add_argument(
        "--state",
        action="append",
        choices=[state.value for state in State],
        help="only leases in this state; may be given several times",
    )
    show = add("show", "tell all about one lease", _SHOW, parents=[store])
    show.add_argument("name", metavar="NAME", help="the lease's full name")
    watch = add("watch", "show leases live, and what happens to them", _WATCH, parents=[store])
    watch.add_argument("names", metavar="NAME", nargs="*", help="leases (default: all)")
    watch.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_interval,
        default=1.0,
        help="the time from one look to the next (default: 1)",
    )


def _add_changes(add: Add, store: argparse.ArgumentParser) -> None:
    release = add("release", "free a lease by force", _RELEASE, parents=[store])
    release.add_argument("name", metavar="NAME", help="the lease's full name")
    release.add_argument("--yes", action="store_true", help="do not ask")
    pause = add("pause", "let nobody run for some time", _PAUSE, parents=[store])
    pause.add_argument("name", metavar="NAME", help="the lease's full name")
    pause.add_argument(
        "--for",
        dest="length",
        metavar="TIME",
        type=_window,
        required=True,
        help="how long: 90s, 15min, 2h, 3d",
    )
    pause.add_argument("--by", metavar="TEXT", help="who pauses it (default: user@host)")
    pause.add_argument(
        "--wait", metavar="TIME", type=seconds_of, default=0.0, help="wait so long for a run's end"
    )
    resume = add("resume", "end a pause", _RESUME, parents=[store])
    resume.add_argument("name", metavar="NAME", help="the lease's full name")

    redo = add("redo", "have a slot or an order done once more", _REDO, parents=[store])
    redo.add_argument("name", metavar="NAME", help="the lease's full name")


def _add_run(add: Add, place: argparse.ArgumentParser) -> None:
    run = add(
        "run",
        "run a command under a lease",
        _RUN,
        parents=[place],
        usage="lambda-singleton run NAME [options] -- COMMAND ...",
    )
    run.add_argument("name", metavar="NAME", help="the lease's full name")
    times = {
        "duration": (60.0, "a crash blocks the lease for so long; it is renewed at a third of it"),
        "wait": (0.0, "wait so long for a lease that is held"),
        "min-hold": (0.0, "nobody may run it again within this time of its start"),
        "grace": (10.0, "what the command gets to end after SIGTERM"),
    }
    for name, (default, does) in times.items():
        run.add_argument(
            f"--{name}",
            metavar="TIME",
            type=seconds_of,
            default=default,
            help=f"{does} (default: {default:g}s)",
        )
    run.add_argument(
        "--on-held",
        choices=("fail", "skip"),
        default="fail",
        help="what to do if somebody else has it: exit with 75 (default) or with 0",
    )


def _add_the_rest(add: Add, store: argparse.ArgumentParser) -> None:
    doctor = add("doctor", "say what is wrong with the set-up on AWS", _DOCTOR, parents=[store])
    doctor.add_argument(
        "--function",
        metavar="NAME",
        action="append",
        default=[],
        help="also check this Lambda function; may be given several times",
    )
    add("create-table", "create the table of leases, with its TTL", parents=[store])
    timeline = add("timeline", "draw a log of events as a page", _TIMELINE)
    timeline.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="JSON lines (default: standard input)"
    )
    timeline.add_argument(
        "-o",
        "--output",
        metavar="PAGE",
        default="timeline.html",
        help="where to write the page (default: timeline.html)",
    )
    _add_local(add)
    completion = add("completion", "print a shell's completion of all this", _COMPLETION)
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="for which shell")
    add("demo", "watch handlers take, lose and take over leases")


def _add_local(add: Add) -> None:
    local = add("local", "run a handler of yours on this machine, several at a time", _LOCAL)
    local.add_argument("handler", metavar="MODULE.HANDLER", help="as in the function's settings")
    local.add_argument("--event", metavar="FILE", help="the event, in JSON (default: {})")
    local.add_argument(
        "-n", "--invocations", metavar="N", type=_count, default=1, help="so many at a time"
    )
    local.add_argument("--folder", metavar="PATH", default=".", help="where the module is")
    local.add_argument(
        "--timeout", metavar="TIME", type=seconds_of, default=60.0, help="the function's timeout"
    )
    local.add_argument(
        "--kill", metavar="N", type=_count, default=0, help="kill N of those that hold a lease"
    )
    local.add_argument("--timeline", metavar="PAGE", help="draw what happened as a page")


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MOST_INVOCATIONS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MOST_INVOCATIONS}, not {text}")
    return count


def _window(text: str) -> float:
    length = seconds_of(text)
    if not 1 <= length <= _LONGEST_PAUSE:
        raise argparse.ArgumentTypeError(f"must be from 1s to 30d, not {text}")
    return length


def _interval(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be from 0.1 to 3600 seconds, not {text}")
    return seconds
