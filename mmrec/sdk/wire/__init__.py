"""Between protobuf messages and `mmrec.contract`, both ways, and between errors and `google.rpc.Status`.

Unit of work: one message. The only hand-written code that names protobuf fields. Knows nothing of channels,
servers or models. Whatever bytes come in, the only exceptions that go out are those of `mmrec.errors`.
"""
