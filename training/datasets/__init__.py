"""The data sets of the paper: read as published, checked, normalised, curated, and made in miniature for the tests.

rated.load(name, root) is the way in; see `python -m training.datasets --help` for the commands.
"""
