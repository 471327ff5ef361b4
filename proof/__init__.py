"""What the library's promises are put to the test with. Nothing of it is shipped.

A history of what happened and its judge, a simulated world, a proxy that spoils requests, a soak of
real processes, and a model of the protocol.
"""
