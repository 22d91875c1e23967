"""Pictures and words to vectors: image encoders, text encoders, fusion, and embedding whole catalogues."""
