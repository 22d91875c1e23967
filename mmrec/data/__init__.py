"""Dataset folders: reading, checking, splitting, writing, and fetching the pictures of items.

In: a folder of tables and pictures. Out: a `Dataset` of catalogue, interactions and pictures, or all of its
problems, row by row.
"""
