"""Channels: cheap, strong signals beside the LLM, and the blend of all.

In: training events, words and embeddings by catalogue row. Out: a score per channel, user and item, and their blend.
"""
