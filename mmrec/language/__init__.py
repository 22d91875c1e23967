"""Constraints from words, and conversations that rest on them.

In: sentences of a customer, the columns of a catalogue, and a text encoder. Out: conditions in the language of
`mmrec.filters`, references to items that were shown, and what to say next.
"""
