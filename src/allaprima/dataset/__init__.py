"""Data sets made of one's own clips and pictures: scaled, without near-duplicates, split by shot, with a manifest.

What training reads lies under ``train/``, what it must never see under ``test/``; ``manifest.csv`` says where each file
comes from, and ``contact-sheet.jpg`` shows them.
"""
