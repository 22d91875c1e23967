"""Changes of the catalogue of a running server: apply, replay at a start, compact, maintain in the background.

In: changes that clients send. Out: records in the change log, and a changed snapshot of the engine.
"""
