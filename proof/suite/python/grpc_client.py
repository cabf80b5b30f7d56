"""Calls grpc_server.py through the gate: ADDRESS HOST PEM, where PEM is - for plain text."""
import sys

import grpc

address, host, pem = sys.argv[1:]
options = [("grpc.default_authority", host), ("grpc.enable_http_proxy", 0)]
if pem == "-":
    channel = grpc.insecure_channel(address, options)
else:
    options.append(("grpc.ssl_target_name_override", host))
    with open(pem, "rb") as file:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()), options)

upper = channel.unary_unary("/suite.Echo/Upper")
for size in (5, 100_000, 2_000_000):
    reply, call = upper.with_call(b"a" * size, timeout=20)
    assert reply == b"A" * size, size
    assert ("x-length", str(size)) in [tuple(pair) for pair in call.trailing_metadata()], call.trailing_metadata()

numbers = list(channel.unary_stream("/suite.Echo/Count")(b"500", timeout=20))
assert numbers == [str(number).encode() for number in range(500)], len(numbers)

total = channel.stream_unary("/suite.Echo/Total")(iter([b"x" * 1000] * 200), timeout=20)
assert total == b"200000", total

try:
    channel.unary_unary("/suite.Echo/Fail")(b"", timeout=20)
    raise AssertionError("no error came")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "as asked", error
    assert ("x-why", "on purpose") in [tuple(pair) for pair in error.trailing_metadata()], error

try:
    channel.unary_unary("/suite.Echo/Missing")(b"", timeout=20)
    raise AssertionError("no error came")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

print("all well")
