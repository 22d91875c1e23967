"""The embedding job: streams a catalogue, encodes each distinct picture and text once, and can be resumed.

In: a dataset folder and encoders. Out: Parquet shards and a manifest; `job.embed_dataset` is the call.
This file imports nothing, because the picture-decoding workers import modules of this package and must stay small.
"""
