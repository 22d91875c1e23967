"""Rating prediction: how a user would rate an item, and how surely.

In: ratings and item vectors by catalogue row. Out: a model, and its ratings with their standard deviations. Knows
nothing of requests and rankers.
"""
