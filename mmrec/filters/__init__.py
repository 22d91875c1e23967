"""Filters over the columns of a catalogue: grammar (AIP-160), typed columns, evaluation, cache.

In: the text of a filter. Out: a bitmap over the catalogue's rows, or an error that points at the character.
"""
