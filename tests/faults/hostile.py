"""Servers that do wrong: a proxy that spoils what a real `git daemon` sends, and one that never comes to an end.

with serving(root) as port, Proxy(port) as proxy:
    proxy.spoil("cut", at=1000)
    git fetch git://127.0.0.1:<proxy.port>/mirror.git
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self

Fault = Literal["", "cut", "stall", "dribble", "flip"]


@contextmanager
def serving(root: Path) -> Iterator[int]:
    """The port of a `git daemon` that serves every repository below `root`."""
    port = _free_port()
    where = ("--listen=127.0.0.1", f"--port={port}", f"--base-path={root}", "--export-all", "--reuseaddr", str(root))
    quiet = subprocess.DEVNULL
    daemon = subprocess.Popen(
        ["git", "daemon", *where], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        _await(port)
        yield port
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


class _Server:
    """Accepts connections on `port`, each in a thread that ends with the block."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []
        self.sockets: list[socket.socket] = [self.listening]

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for one in self.sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self.threads:
            thread.join(10)

    def _spawn(self, what: Callable[..., None], *given: object) -> None:
        def quietly() -> None:
            with suppress(OSError):
                what(*given)

        self.threads.append(threading.Thread(target=quietly, daemon=True))
        self.threads[-1].start()

    def _accept(self) -> None:
        while not self.over.is_set():
            client, _ = self.listening.accept()
            self.sockets.append(client)
            self._spawn(self.serve, client)

    def serve(self, client: socket.socket) -> None:
        raise NotImplementedError


class Proxy(_Server):
    """Between a client and the server at `behind`; `sent` counts what went to clients since the last `spoil`."""

    def __init__(self, behind: int) -> None:
        super().__init__()
        self.behind, self.at, self.sent = behind, 0, 0
        self.fault: Fault = ""
        self.pause = 0.2  # seconds between two bytes of a dribble

    def spoil(self, fault: Fault, at: int = 0) -> None:
        """From now on `fault` befalls what goes to clients, at the byte `at` of all of it and ever after."""
        self.fault, self.at, self.sent = fault, at, 0

    def serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self.behind))
        self.sockets.append(server)
        self._spawn(_copy, client, server)
        with client, server:
            while chunk := server.recv(4096):
                begun = self.sent
                self.sent += len(chunk)
                if not self.fault or self.sent <= self.at:
                    client.sendall(chunk)
                    continue
                whole, rest = chunk[: max(0, self.at - begun)], chunk[max(0, self.at - begun) :]
                client.sendall(whole)
                if self.fault == "cut":
                    client.shutdown(socket.SHUT_RDWR)  # a close alone would wait for the other direction
                    return
                if self.fault == "stall":
                    self.over.wait()
                elif self.fault == "dribble":
                    for one in rest:
                        client.sendall(bytes([one]))
                        if self.over.wait(self.pause):
                            return
                else:
                    client.sendall(bytes([rest[0] ^ 1]) + rest[1:])


class Endless(_Server):
    """A server without end, of the ledger whose branch `common` is at `oid`: `what` it never ceases to send."""

    def __init__(self, oid: str, what: Literal["refs", "pack", "talk", "keepalive"]) -> None:
        super().__init__()
        self.oid, self.what, self.sent = oid, what, 0

    def serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as asked:
            _line(asked.read)
            refs = b"%s refs/heads/common\0side-band-64k ofs-delta agent=git/2\n" % self.oid.encode()
            self._send(client, _pkt(refs))
            if self.what == "refs":
                number = 0
                while not self.over.is_set():
                    many = (b"%s refs/tags/%s%d\n" % (self.oid.encode(), b"x" * 200, number + n) for n in range(200))
                    self._send(client, b"".join(map(_pkt, many)))
                    number += 200
            self._send(client, b"0000")
            while (line := _line(asked.read)) != b"done\n":
                if line is None:  # it only asked what is here
                    return
            self._send(client, _pkt(b"NAK\n"))
            for chunk in self._chunks():
                self._send(client, chunk)

    def _chunks(self) -> Iterator[bytes]:
        if self.what == "keepalive":
            while not self.over.wait(0.05):
                yield _pkt(b"\1")
        while self.what == "talk":
            yield _pkt(b"\2" + b"still counting, still counting, still counting\n" * 900)
        # A pack of two hundred objects, the first of which, a blob of a terabyte, does not end.
        yield _pkt(b"\1PACK" + struct.pack(">LL", 2, 200) + _size(3, 1 << 40))
        packer, raw = zlib.compressobj(0), os.urandom(32768)
        while not self.over.is_set():
            data = packer.compress(raw)
            if data:
                yield from (_pkt(b"\1" + data[at : at + 60000]) for at in range(0, len(data), 60000))

    def _send(self, client: socket.socket, data: bytes) -> None:
        client.sendall(data)
        self.sent += len(data)


def _pkt(data: bytes) -> bytes:
    return b"%04x%s" % (len(data) + 4, data)


def _line(read: Callable[[int], bytes]) -> bytes | None:
    """One line of the protocol; empty for a flush, None where the client has gone."""
    length = read(4)
    if len(length) < 4 or length == b"0000":
        return None if not length else b""
    return read(int(length, 16) - 4)


def _size(kind: int, size: int) -> bytes:
    """The header of an object in a pack."""
    first, size = (kind << 4) | (size & 15), size >> 4
    found = bytearray()
    while size:
        found.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    return bytes([*found, first])


def _copy(source: socket.socket, sink: socket.socket) -> None:
    while chunk := source.recv(4096):
        sink.sendall(chunk)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, "git daemon does not answer"
            time.sleep(0.02)
