"""What became of each request for a slot, kept for those who look: records, and the documents made of them."""
