"""Rating prediction: ratings and item vectors in, a model out that says how a user would rate an item, and how surely.

Works on catalogue rows and numbers; knows nothing of requests, files and rankers.
"""
