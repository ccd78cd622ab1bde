"""BRISQUE and frozen ImageNet features next to a served model, on the same held-out photos."""
