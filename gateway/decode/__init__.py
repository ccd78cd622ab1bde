"""Bytes become frames, in processes that can do nothing else; `jobs` is the door. Nothing is imported here: a worker is
of this package, and loads what it needs alone."""
