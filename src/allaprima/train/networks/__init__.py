"""Networks that training knows: one a file."""
