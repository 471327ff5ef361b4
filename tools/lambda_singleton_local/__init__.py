"""Lambda and DynamoDB on this machine, for handlers of your own: `lambda-singleton local`.

Handlers run under AWS's own runtime client, `awslambdaric`, one process for each concurrent
execution environment, with the kill at the deadline and the freeze between invocations. It comes
with `pip install 'lambda-singleton[local]'`.
"""

from .engine import Engine, EngineError
from .environment import Environment, Outcome
from .function import Function, Running

__all__ = ["Engine", "EngineError", "Environment", "Function", "Outcome", "Running"]
