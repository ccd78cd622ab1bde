"""Assay scores how good images and videos look to people, and says why while it thinks."""

__version__ = "0.1.0"
