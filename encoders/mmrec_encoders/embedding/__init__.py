"""Whole catalogues to vectors: a job that streams, computes each picture and text once, and survives a kill.

`job.embed_dataset` is the call. This file imports nothing, because the worker processes that decode pictures import
modules of this package and must stay small.
"""
