"""The embedding job: whole catalogues to vectors, streaming, each picture and text computed once, restartable.

In: a dataset folder and encoders. Out: Parquet shards and a manifest; `job.embed_dataset` is the call.
This file imports nothing, because the worker processes that decode pictures import modules of this package and must
stay small.
"""
