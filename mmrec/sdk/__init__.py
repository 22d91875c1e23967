"""The SDK: blocking and asyncio clients, the codec between values and protobuf messages, and the transport.

In: values of `mmrec.contract`. Out: the replies of a server as such values, or errors of `mmrec.errors`.
Needs the base install only.
"""
