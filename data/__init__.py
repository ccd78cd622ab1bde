"""Data sets: read as published, checked, normalised, curated; and labels: asked of a model, corrected by people.

rated.load(name, root) is the way in; see `python -m data --help` for the commands.
"""
