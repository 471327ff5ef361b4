"""The decorator: what it was told, and what it makes of a handler."""
