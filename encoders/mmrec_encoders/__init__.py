"""Encoders: pictures and texts to unit vectors, their fusion, fine-tuning, and embedding of whole catalogues.

In: pictures, texts, a dataset folder. Out: vectors in one space, encoder folders, and Parquet shards of vectors.
"""
