"""Peers side by side: others' methods and ours on the same photos, one command each."""
