"""The other side of `gateway.decode`: a process that reads hostile bytes and is allowed nothing else."""
