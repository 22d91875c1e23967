"""Importers: public and shop formats into dataset folders, one module per format.

In: the files of a source. Out: a dataset folder, and counts of what was left out.
"""
