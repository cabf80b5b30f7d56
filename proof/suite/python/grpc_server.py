"""A gRPC server on an h2c port: unary, server streaming, client streaming, and an error with trailers."""
import sys
from concurrent import futures

import grpc


def upper(request, context):
    context.set_trailing_metadata((("x-length", str(len(request))),))
    return request.upper()


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def fail(request, context):
    context.set_trailing_metadata((("x-why", "on purpose"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")


handlers = grpc.method_handlers_generic_handler("suite.Echo", {
    "Upper": grpc.unary_unary_rpc_method_handler(upper),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
})
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
server.add_generic_rpc_handlers((handlers,))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print("ready", flush=True)
server.wait_for_termination()
