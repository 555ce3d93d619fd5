"""The kinds of training content, each with its random crops."""
