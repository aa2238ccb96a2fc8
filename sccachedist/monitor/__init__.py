"""Monitors of Icecream, such as icemon and icecream-sundae, shown this farm: read only."""
