"""What client, scheduler and build server send each other: values and their bytes. It does not know who sends them."""
