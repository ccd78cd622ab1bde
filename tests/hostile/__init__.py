"""What a stranger may send, and what becomes of it: `make sandbox`, `make bombs`, `make fuzz`."""
