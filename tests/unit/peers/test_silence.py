"""Servers that let a deadline pass are left alone until they answer, and no longer."""

import socket

import pytest

from objstore.peers import silence
from objstore.peers.silence import Silences, options
from objstore.runtime import green
from tests.support.limits import Frozen, settle

A, B, C = ("10.0.0.1", 6200), ("10.0.0.1", 6201), ("10.0.0.2", 6200)


@pytest.fixture
def frozen():
    return Frozen()


@pytest.fixture
def silences(frozen):
    return Silences(frozen)


def test_a_silent_server_is_left_alone_until_it_answers(silences, frozen):
    assert silences.heard_nothing(A)
    assert silences.is_silent(A) and not silences.is_silent(C)
    frozen.thaw()
    assert not silences.is_silent(A)
    assert silences.is_calm


def test_a_silent_server_is_asked_by_nobody_else(silences, frozen):
    assert [silences.heard_nothing(A) for _ in range(3)] == [True, False, False]
    settle()
    assert frozen.asked == [A]


def test_a_server_that_answers_at_once_is_trusted_again_at_once():
    silences = Silences(lambda _: True)
    silences.heard_nothing(A)
    settle()
    assert not silences.is_silent(A)


def test_a_server_that_becomes_silent_again_is_left_alone_again():
    frozen = Frozen()
    answers = [lambda _: True, frozen]
    silences = Silences(lambda address: answers.pop(0)(address))
    for _ in range(2):
        assert silences.heard_nothing(A, "machine")
        settle()
    assert silences.is_silent(A)


def test_servers_of_the_same_group_are_under_suspicion_until_they_answer(frozen):
    silences = Silences(lambda address: True if address == B else frozen(address))
    silences.heard_nothing(A, "machine")
    assert silences.is_silent(B, "machine")
    assert not silences.is_silent(C, "other machine")
    settle()
    assert not silences.is_silent(B, "machine"), "it has answered, whatever the first one does"
    assert silences.is_silent(A, "machine")


def test_suspicion_ends_with_the_last_silence_of_the_group(silences, frozen):
    silences.heard_nothing(A, "machine")
    frozen.thaw()
    assert not silences.is_silent(B, "machine")


def test_a_server_that_never_answers_is_tried_again_by_a_request(monkeypatch):
    monkeypatch.setattr(silence, "PAUSE_S", 0)
    asked = []
    silences = Silences(lambda address: asked.append(address), lapse_s=0)
    silences.heard_nothing(A, "machine")
    settle()
    assert not silences.is_silent(A, "machine") and not silences.is_silent(B, "machine")
    assert asked == [A]


def test_a_question_that_was_lost_is_put_again(monkeypatch):
    monkeypatch.setattr(silence, "PAUSE_S", 0)
    answers = [False, False, True]
    silences = Silences(lambda _: answers.pop(0))
    silences.heard_nothing(A)
    for _ in range(3):
        settle()
    assert not silences.is_silent(A) and not answers


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def accepted(listener):
    green.wait_readable(listener.fileno(), 5)
    sock, _ = listener.accept()
    sock.setblocking(False)
    return sock


def test_options_waits_for_an_answer_over_the_wire(listener):
    asked = green.spawn(options, listener.getsockname())
    with accepted(listener) as server:
        green.wait_readable(server.fileno(), 5)
        assert server.recv(1000).startswith(b"OPTIONS / HTTP/1.1\r\n")
        assert not asked.is_done
        server.send(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        assert asked.join() is True


def test_a_server_that_accepts_and_says_nothing_has_not_answered(listener, monkeypatch):
    monkeypatch.setattr(silence, "PATIENCE_S", 0.05)
    assert options(listener.getsockname()) is False


@pytest.mark.parametrize("ends", ["refused", "closed"])
def test_a_refusal_is_an_answer(listener, ends):
    if ends == "refused":
        listener.close()
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = other.getsockname()
        assert options(address) is True
    else:
        asked = green.spawn(options, listener.getsockname())
        accepted(listener).close()
        assert asked.join() is True
