"""Metrics over a whole catalogue, and the floors of counting."""
