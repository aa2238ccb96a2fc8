"""Archives from clients: decompressed, read, and unpacked inside one directory."""
