#!/usr/bin/python3 -IS
"""Stock pcs without the half second in which Python loads it for each command.

Called by any name but `pcs`, this loads pcs's own code once and runs the command that it is
given. What that command calls `pcs` is this file again, by that name: it hands its arguments,
environment, directory, umask and open files to a fork of the loaded one, and ends as that ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import traceback

SOCKET = "/run/preloaded-pcs"


def call():
    """What is called `pcs`."""
    umask = os.umask(0)
    request = [sys.argv, dict(os.environ), os.getcwd(), umask]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(SOCKET)
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
        answer = server.recv(1)
    if not answer:
        sys.exit("preloaded pcs: the fork of pcs died")
    sys.exit(answer[0])


def answer(client, main):
    """In the fork: becomes the pcs that was called."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(client, 1 << 20, 3)
    sys.argv, environment, directory, umask = json.loads(request)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    os.umask(umask)
    status = 0
    try:
        status = main() or 0
    except SystemExit as end:
        status = end.code or 0
    if not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    client.send(bytes([status]))


def serve(server):
    from pcs.entry_points.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        client, _ = server.accept()
        if os.fork() == 0:
            try:
                answer(client, main)
            except BaseException:  # it must not become a second server
                traceback.print_exc()
            os._exit(0)
        client.close()


def run():
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(SOCKET)
    server.listen(64)
    serving = os.fork()
    if serving == 0:
        serve(server)
    here = os.path.dirname(os.path.abspath(__file__))
    path = f"{here}/called:{os.environ['PATH']}"
    status = subprocess.call(sys.argv[1:], env={**os.environ, "PATH": path})
    os.kill(serving, signal.SIGTERM)
    sys.exit(status)


if os.path.basename(sys.argv[0]) == "pcs":
    call()
run()
