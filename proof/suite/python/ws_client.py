"""Talks to ws_server.py through the gate: ADDRESS HOST PEM, where PEM is - for plain text."""
import asyncio
import ssl
import sys

from websockets.asyncio.client import connect

address, host, pem = sys.argv[1:]
port = int(address.rsplit(":", 1)[1])


async def main():
    context = None if pem == "-" else ssl.create_default_context(cafile=pem)
    scheme = "ws" if pem == "-" else "wss"
    # The address is connected to, the name is what Host and SNI say.
    where = {"host": "127.0.0.1", "port": port, "proxy": None, "max_size": 2**24}
    if context is not None:
        where.update(ssl=context, server_hostname=host)
    async with connect(f"{scheme}://{host}:{port}/live", **where) as socket:
        for size in (0, 1, 125, 126, 65_535, 65_536, 1_000_000):
            await socket.send("a" * size)
            assert await socket.recv() == "a" * size, size
            await socket.send(b"\xff" * size)
            assert await socket.recv() == b"\xff" * size, size
        await asyncio.wait_for(await socket.ping(), 10)
    assert socket.close_code == 1000, socket.close_code
    print("all well")


asyncio.run(main())
