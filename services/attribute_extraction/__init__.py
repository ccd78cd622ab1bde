"""Looks at a clip, reasons about it and grades ten attributes."""
