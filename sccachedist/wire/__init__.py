"""What travels between client, scheduler and build server: values and their bytes, not who sends them."""
