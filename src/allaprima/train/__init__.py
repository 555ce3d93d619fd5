"""Training of styles. Needs torch, NumPy and Pillow only (ONNX where a style file is written or read)."""
