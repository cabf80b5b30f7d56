"""Starts a program as systemd would with socket activation: NAME=PORT… -- PROGRAM ARGUMENTS…"""
import fcntl
import os
import socket
import sys

split = sys.argv.index("--")
names = []
kept = []
for number, pair in enumerate(sys.argv[1:split]):
    name, port = pair.split("=")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(port)))
    listening.listen(128)
    # Above the descriptors that are handed over, so that none of them is overwritten.
    kept.append(fcntl.fcntl(listening.fileno(), fcntl.F_DUPFD, 100))
    names.append(name)
for number, descriptor in enumerate(kept):
    os.dup2(descriptor, 3 + number, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(names)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[split + 1], sys.argv[split + 1:])
