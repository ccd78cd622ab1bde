"""Constrained decoding: a form walked token by token. Knows no model, and loads no torch; below every engine."""
