"""Cheap, strong signals beside the LLM, and how all are blended."""
