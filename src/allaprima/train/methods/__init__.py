"""Training methods: one a file, each with its recipe."""
