"""Tasks: what is measured, each with its command; the paper's rows among them (see docs/paper.md)."""
