"""Understanding of a catalogue: nearest items, tags, duplicates, and pictures that do not match their texts.

In: vectors, thumbnails and texts of items. Out: hits, labels with probabilities, groups and scores.
"""
