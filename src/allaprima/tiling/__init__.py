"""Large still pictures, painted tile by tile."""
