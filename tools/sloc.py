"""`make count`: lines of code that mutual exclusion needs, without blanks, comments and docstrings.

python tools/sloc.py            what mutual exclusion needs, file by file
python tools/sloc.py FILE ...   any other files
"""

from __future__ import annotations

import ast
import sys
import tokenize
from collections.abc import Sequence
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "layer" / "python" / "lambda_singleton"

#: What one lease that is held at a time needs. The rest: stores, interrupting, telling, options.
MUTUAL_EXCLUSION = (
    "_clock.py",
    "_errors.py",
    "_backoff.py",
    "_protocol/record.py",
    "_protocol/operation.py",
    "_protocol/operations.py",
    "_protocol/store.py",
    "_protocol/term.py",
    "_protocol/waiting.py",
    "_holding/tenure.py",
    "_holding/lease.py",
    "_holding/request.py",
    "_holding/acquire.py",
    "_holding/renewal.py",
    "_holding/release.py",
)
#: 1,035 before the holder's side was rebuilt. What was added: give back what was cut off, replies
#: of other requests, forks, abandoned tickets; slots, orders and checkpoints in the same rows.
MOST = 1_180

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def sloc(path: Path) -> int:
    """Count the lines of a file that hold code."""
    lines: set[int] = set()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type not in _NO_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return len(lines)


def main(files: Sequence[str]) -> int:
    """Print each file's count and the sum; return 1 if mutual exclusion takes too many."""
    paths = [Path(file) for file in files] or [PACKAGE / name for name in MUTUAL_EXCLUSION]
    counts = [sloc(path) for path in paths]
    for path, count in zip(paths, counts, strict=True):
        print(f"{count:5}  {path.name if files else path.relative_to(PACKAGE)}")
    total = sum(counts)
    if files:
        print(f"{total:5}  in all")
        return 0
    print(f"{total:5}  SLOC are what mutual exclusion needs, of {MOST} at most")
    return int(total > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
