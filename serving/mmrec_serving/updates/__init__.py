"""Changes of a served catalogue: apply, replay at a start, compact into a new bundle, maintain in the background.

In: changes that clients send. Out: records in the change log, and a changed snapshot of the engine.
"""
