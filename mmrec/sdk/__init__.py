"""The SDK: blocking and asyncio clients, the codec between dataclasses and protobuf messages, and the transport.

In: requests of `mmrec.contract`. Out: a server's replies as dataclasses of `mmrec.contract`, or `mmrec.errors`.
Needs the base install only.
"""
