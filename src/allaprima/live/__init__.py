"""Live painting: from a camera, a screen, a stream or a program to a window, a stream or another program."""
