"""Starts a program as systemd would with socket activation: NAME=PORT… -- PROGRAM ARGUMENTS…"""
import os
import socket
import sys

split = sys.argv.index("--")
names = []
for number, pair in enumerate(sys.argv[1:split]):
    name, port = pair.split("=")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(port)))
    listening.listen(128)
    os.dup2(listening.fileno(), 3 + number)
    names.append(name)
os.environ.update(LISTEN_FDS=str(len(names)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[split + 1], sys.argv[split + 1:])
