"""Looks at a clip and writes a number: early from the pixels alone, finally after the reasoning."""
