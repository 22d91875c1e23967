"""The contract in Python: what can be asked, what comes back, and the rules of every field.

In: keyword values of a caller. Out: frozen dataclasses that have checked themselves, or an `InvalidArgumentError`.
Knows nothing of protobuf, files, models or the network.
"""
