"""Training of styles.

Needs torch, NumPy, Pillow, Lightning Fabric and tomli-w only (ONNX where a style file is written or read).
"""
