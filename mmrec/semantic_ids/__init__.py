"""From fused embeddings to semantic IDs, and the index they are decoded with."""
