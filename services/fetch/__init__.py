"""Gets files from elsewhere, so that no other program needs a way out."""
