"""A network of its own for a test: only loopback, every port free, nothing gets out.

    with netns.fresh():
        ...          # this thread and every process started here are inside

The namespace ends with its last process. Load tests must be inside one: tens of thousands of
TIME_WAIT sockets would otherwise exhaust the machine's own loopback ports.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = bytearray(struct.pack("16sh22x", b"lo", 0))
        fcntl.ioctl(handle, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("h", request, 16)[0]
        struct.pack_into("h", request, 16, flags | _IFF_UP)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, request)


def enter():
    """Moves this thread into a fresh namespace with loopback up and a wide port range; returns a
    descriptor of the old one."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _check(_libc.unshare(_CLONE_NEWNET), "a network namespace of our own (needs root)")
    _loopback_up()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("16384 65535")
    return before


def leave(before):
    try:
        _check(_libc.setns(before, _CLONE_NEWNET), "back to the old network namespace")
    finally:
        os.close(before)


@contextlib.contextmanager
def fresh():
    before = enter()
    try:
        yield
    finally:
        leave(before)


_next_port = 2000


def free_port(address="127.0.0.1"):
    """A port below the ephemeral range that nobody listens on now. Each call gives another."""
    global _next_port  # pylint: disable=global-statement
    while _next_port < 16384:
        _next_port += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, _next_port))
            except OSError:
                continue
        return _next_port
    _next_port = 2000
    return free_port(address)
