"""The local Lambda and DynamoDB of this checkout, for the tests and the demo.

What users have of it is `lambda_singleton_local`; here are the checkout's own engine, samples,
stack and TLS.
"""

from lambda_singleton_local import Environment, Outcome, Running

from .engine import Engine, EngineError
from .function import Function

__all__ = ["Engine", "EngineError", "Environment", "Function", "Outcome", "Running"]
