"""Requests and replies as Python dataclasses, with the validation rules of every field.

In: keyword values of a caller. Out: validated frozen dataclasses, or an `InvalidArgumentError`.
Knows nothing of protobuf, files, models or the network.
"""
