"""Constraints from words, conversations that rest on them, and explanations in words.

In: sentences of a customer, the columns of a catalogue, a text encoder, and what recommendations rest on. Out:
conditions in the language of `mmrec.filters`, references to items that were shown, what to say next, and statements
with their evidence.
"""
