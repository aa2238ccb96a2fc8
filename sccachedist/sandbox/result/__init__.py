"""What a compile came to: which answer its client gets, and how that is written."""
