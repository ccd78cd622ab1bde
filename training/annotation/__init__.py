"""An annotation round: a served model labels, people correct what it doubts, and every label says who gave it.

See `python -m training.annotation --help`.
"""
