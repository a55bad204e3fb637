"""The client on a connection that the service has closed meanwhile."""

from __future__ import annotations

import socket

import pytest

from mmbee_plugin.serving import client as module


def test_an_idle_connection_is_opened_anew(running, monkeypatch):
    client = running.client()
    served = client.model()["versions"]

    def closed_by_the_service() -> socket.socket:
        here, there = socket.socketpair()
        there.close()
        return here

    client._connection.sock = closed_by_the_service()
    with pytest.raises(OSError):
        client.model()
    client.model()
    client._connection.sock = closed_by_the_service()
    monkeypatch.setattr(module, "IDLE", 0.0)
    assert client.model()["versions"] == served
