"""One command a file, each with a `run`."""
