"""What a server tells of itself: metrics, traces and timings of calls.

In: stages of calls, batches and refusals, as they happen. Out: a metrics endpoint. Knows nothing about gRPC's objects.
"""
