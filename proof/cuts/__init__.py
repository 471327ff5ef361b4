"""Cut everywhere: an exception, or a hang, at each point that the package runs through.

A `Scenario` uses the public API in one way. A `Point` is a line that runs meanwhile, in the package
or in what it calls. A `Cut` raises at one point, a `Verdict` says what was left behind.
"""
