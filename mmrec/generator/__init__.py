"""The generator: an LLM over fused item tokens with an item head and a semantic-ID head, and beam search.

In: histories of catalogue rows. Out: item scores and generated items.
"""
