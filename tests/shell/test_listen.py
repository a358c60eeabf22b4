"""A port is taken before anything else is touched, or the operator learns what to do."""

import socket

import pytest

from edge.config import ConfigError
from edge.shell.listen import PortTaken, Server, address, listen


async def nobody(scope: object, receive: object, send: object) -> None:
    """An application that is never called."""


def test_port_0_takes_a_free_one_and_says_which() -> None:
    with listen("http", "127.0.0.1", 0) as sock:
        host, _, port = address(sock).rpartition(":")

    assert host == "127.0.0.1"
    assert int(port) > 0


def test_an_ipv6_address_is_written_in_brackets() -> None:
    try:
        sock = listen("http", "::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    with sock:
        assert address(sock).startswith("[::1]:")


def test_a_taken_port_is_named_with_its_setting() -> None:
    with listen("http", "127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken, match=r"http: port \d+ on 127.0.0.1 is taken.*http.port"):
            listen("http", "127.0.0.1", port)


def test_an_address_of_another_machine_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1") as wrong:
        listen("admin", "192.0.2.1", 0)
    assert wrong.value.path == "admin.host"


def test_connections_wait_in_the_kernel_before_anybody_accepts_them() -> None:
    with listen("http", "127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        pass


def test_the_server_leaves_signals_alone() -> None:
    server = Server(nobody, grace_s=1)

    with server.capture_signals():
        assert not server.should_exit


def test_a_port_can_be_taken_without_listening() -> None:
    with (
        listen("http", "127.0.0.1", 0, backlog=None) as sock,
        pytest.raises(ConnectionRefusedError),
    ):
        socket.create_connection(sock.getsockname())
