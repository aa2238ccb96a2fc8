"""Archives from strangers: decompressed, read, unpacked below a directory that nothing leaves."""
