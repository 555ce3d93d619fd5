"""What the file source and the file sink share: containers, codecs, colors, and the streams beside the picture."""
