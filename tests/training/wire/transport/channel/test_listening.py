"""Tokens and listeners: who may connect, and what strangers are told."""

from __future__ import annotations

import logging
import random
import socket
import threading

import pytest

from splitopt.errors import InputError
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.errors import (
    ChannelClosedError,
    ChannelTimeoutError,
    RefusedError,
)
from splitopt.training.wire.transport.handshake import (
    GREETING,
    NONCE_BYTES,
    OTHER_TOKEN,
    PROVED,
)
from splitopt.training.wire.transport.listener import LOOPBACK, is_of_this_machine, listen
from splitopt.training.wire.transport.tokens import Token, read_token
from tests.training.wire.transport.channel.cases import SOON, TOKEN

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


class TestToken:
    def test_another_token_is_refused_logged_and_told_nothing(self, caplog):
        caplog.set_level(logging.WARNING)
        with listen(None, 0, TOKEN) as listener:
            with pytest.raises(RefusedError, match="same token"):
                connect(LOOPBACK, listener.port, Token("another token of tests"), SOON)
            with pytest.raises(ChannelTimeoutError, match="nobody connected"):
                listener.accept(0.1)
            assert listener.refusals.count == 1
        lines = [r.getMessage() for r in caplog.records]
        assert any(x.startswith("refused a connection from 127.0.0.1:") for x in lines)
        assert "another token" in caplog.text
        assert TOKEN.secret not in caplog.text

    def test_what_a_stranger_hears(self):
        """The listener's nonce for a greeting, and after a wrong proof one word that says so."""
        with listen(None, 0, TOKEN) as listener:
            with socket.create_connection((LOOPBACK, listener.port)) as stranger:
                stranger.settimeout(SOON)
                stranger.sendall(GREETING + bytes(NONCE_BYTES))
                heard = b""
                while len(heard) < len(GREETING) + NONCE_BYTES:
                    heard += stranger.recv(1000)
                stranger.sendall(bytes(32))
                assert stranger.recv(1000) == OTHER_TOKEN
                assert stranger.recv(1000) == b""
            with socket.create_connection((LOOPBACK, listener.port)) as stranger:
                stranger.settimeout(SOON)
                stranger.sendall(b"GET / HTTP/1.1\r\n"[: len(GREETING)])
                assert stranger.recv(1000) == b""

    def test_a_proof_cannot_be_sent_back(self):
        """A listener that mirrors what the connector says does not pass for one with the token."""
        server = socket.create_server((LOOPBACK, 0))

        def mirror():
            sock, _ = server.accept()
            with sock:
                sock.settimeout(SOON)
                for before in (b"", PROVED):
                    sock.sendall(before + sock.recv(1000))
                sock.recv(1000)

        thread = threading.Thread(target=mirror)
        thread.start()
        with pytest.raises(RefusedError, match="could not prove"):
            connect(LOOPBACK, server.getsockname()[1], TOKEN, SOON)
        thread.join()
        server.close()

    def test_a_listener_of_something_else(self):
        server = socket.create_server((LOOPBACK, 0))

        def talk():
            sock, _ = server.accept()
            with sock:
                sock.sendall(b"220 mail.example ESMTP ready\r\n" * 3)
                sock.recv(1000)

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(RefusedError, match="does not speak"):
            connect(LOOPBACK, server.getsockname()[1], TOKEN, SOON)
        thread.join()
        server.close()

    def test_a_stranger_who_says_nothing_holds_nobody_up(self):
        with (
            listen(None, 0, TOKEN) as listener,
            socket.create_connection((LOOPBACK, listener.port)),
            connect(LOOPBACK, listener.port, TOKEN, SOON) as one,
            listener.accept(SOON) as two,
        ):
            one.send("hello")
            assert two.receive(SOON).kind == "hello"

    def test_where_it_is_read_from(self, tmp_path, caplog):
        path = tmp_path / "token"
        path.write_text("  from a file of a test\n")
        path.chmod(0o600)
        assert read_token(path, {}) == Token("from a file of a test")
        assert not caplog.records
        path.chmod(0o644)
        assert read_token(None, {"SPLITOPT_TOKEN_FILE": str(path)}) == read_token(path)
        assert "chmod 600" in caplog.text
        both = {"SPLITOPT_TOKEN": "from the environment", "SPLITOPT_TOKEN_FILE": str(path)}
        assert read_token(None, both) == Token("from the environment")
        assert read_token(None, {}) is None
        with pytest.raises(InputError, match="no such file"):
            read_token(tmp_path / "none")

    def test_a_short_one_is_refused_and_none_is_printed(self):
        with pytest.raises(InputError, match="5 characters"):
            Token("short")
        token = Token.new()
        assert token.secret not in repr(token)
        assert Token.new() != token

    @pytest.mark.parametrize(
        "secret",
        [
            "a" * 16,
            "a" * 1000,
            "aaaaaaaaaaaaaaab",
            "abababababababab",
            "0123456789abcdef",
            "1234567812345678",
            "passwordpassword",
            "zyxwvutsrqponmlkji",
            "11111111222222223333333344444444",
        ],
    )
    def test_what_is_easy_to_guess_is_refused(self, secret):
        with pytest.raises(
            InputError, match=r"^token: is easy to guess: .*secrets.token_hex"
        ) as why:
            Token(secret)
        assert secret not in str(why.value)

    def test_what_is_drawn_at_random_is_taken(self):
        rng = random.Random(1)
        for _ in range(2000):
            Token(rng.randbytes(8).hex())  # the shortest ones
            Token(rng.randbytes(32).hex())
            Token("".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=20)))


class TestListening:
    def test_on_loopback_unless_told(self):
        with listen(None, 0, TOKEN) as listener:
            assert listener.host == "127.0.0.1"

    def test_a_port_in_use(self):
        with (
            listen(None, 0, TOKEN) as listener,
            pytest.raises(InputError, match=rf"^port: {listener.port} on 127.0.0.1 is in use; "),
        ):
            listen(None, listener.port, TOKEN)

    @pytest.mark.parametrize(
        ("host", "port", "why"),
        [
            ("192.0.2.1", 0, "not an address of this machine"),
            ("127.0.0.1", 70_000, "port: is 70000"),
        ],
    )
    def test_an_address_that_is_none(self, host, port, why):
        with pytest.raises(InputError, match=why):
            listen(host, port, TOKEN, no_tls=True)

    def test_which_addresses_are_of_this_machine(self):
        assert is_of_this_machine("127.0.0.1")
        assert not is_of_this_machine("192.0.2.1")  # kept for documentation (RFC 5737)

    def test_nobody_listens(self):
        with socket.create_server((LOOPBACK, 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(ChannelTimeoutError, match=f"nothing listens on 127.0.0.1:{port}"):
            connect(LOOPBACK, port, TOKEN, 0.2)

    def test_a_listener_that_comes_later_is_waited_for(self):
        with socket.create_server((LOOPBACK, 0)) as server:
            port = server.getsockname()[1]
        found = []
        thread = threading.Thread(target=lambda: found.append(connect(LOOPBACK, port, TOKEN, SOON)))
        thread.start()
        with listen(None, port, TOKEN) as listener, listener.accept(SOON):
            thread.join()
            found[0].close()

    def test_closed(self):
        listener = listen(None, 0, TOKEN)
        listener.close()
        listener.close()
        with pytest.raises(ChannelClosedError, match="was closed"):
            listener.accept()
