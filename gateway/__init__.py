"""The gateway: the only program that clients talk to."""
