"""The gateway's HTTP face: REST, resumable uploads, gRPC-Web and Connect, and a page; on the loop that serves gRPC."""
