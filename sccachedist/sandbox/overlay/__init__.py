"""Sandboxes of bubblewrap on an overlay over an unpacked toolchain."""
