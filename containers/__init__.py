"""Container images of the programs, and what is in them."""
