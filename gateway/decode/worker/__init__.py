"""The other side of `gateway.decode.jobs`: a process that reads hostile bytes and is allowed nothing else."""
