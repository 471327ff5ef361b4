"""A local Lambda and a local DynamoDB, for the tests and the demo. Nothing of it is shipped.

Handlers run under AWS's own runtime client, `awslambdaric`, one process for each concurrent
execution environment, with the kill at the deadline and the freeze between invocations.
"""

from .engine import Engine, EngineError
from .environment import Environment, Outcome
from .function import Function, Running

__all__ = ["Engine", "EngineError", "Environment", "Function", "Outcome", "Running"]
