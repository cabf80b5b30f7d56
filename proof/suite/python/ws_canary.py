"""Says things to ws_server.py through the gate and tells whether the last one came back: ADDRESS HOST VALUE."""
import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

address, host, value = sys.argv[1:]
port = int(address.rsplit(":", 1)[1])


async def main():
    where = {"host": "127.0.0.1", "port": port, "proxy": None}
    async with connect(f"ws://{host}:{port}/live", **where) as socket:
        # What a message is packed with is what was said before.
        for number in range(20):
            said = f'{{"id":{number},"email":"member{number}@post.example.org"}}'
            await socket.send(said)
            assert await socket.recv() == said
        extensions = [type(extension).__name__ for extension in socket.protocol.extensions]
        assert "PerMessageDeflate" in extensions, extensions
        await socket.send(f'{{"id":20,"email":"{value}"}}')
        try:
            came = await asyncio.wait_for(socket.recv(), 20)
            print("came" if value in came else "garbled")
        except ConnectionClosed:
            print("stopped")


asyncio.run(main())
