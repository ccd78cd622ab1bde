"""Small good and bad media files, made on demand."""
