"""The commands about clients with names."""
