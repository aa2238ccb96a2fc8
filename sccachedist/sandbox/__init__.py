"""What runs in a sandbox worker, the process that touches hostile files: synchronous, without Twisted."""
