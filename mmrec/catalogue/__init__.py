"""The items of a dataset, column by column: rows, ids, texts, words, and the kinds of columns.

In: columns of text. Out: an immutable `Catalogue`, and catalogues that were changed from it.
"""
