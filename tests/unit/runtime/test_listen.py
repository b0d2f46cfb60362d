import socket

import pytest

from objstore.runtime.listen import CannotListen, is_free, listen, shown
from objstore.runtime.netinfo import local_addresses


def test_a_taken_port_is_told_from_other_errors():
    with listen(("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
        assert not is_free(address)
        with pytest.raises(CannotListen) as raised:
            listen(address)
        assert raised.value.is_taken
        assert str(raised.value) == f"127.0.0.1:{address[1]}: somebody else listens there"
    assert is_free(address)


def test_an_address_of_another_machine_cannot_be_listened_on():
    with pytest.raises(CannotListen) as raised:
        listen(("192.0.2.1", 0))
    assert not raised.value.is_taken


def test_a_name_that_does_not_resolve_is_an_error_of_the_same_kind():
    with pytest.raises(CannotListen):
        listen(("no such host", 0))


def test_sockets_are_non_blocking_and_may_not_be_shared_by_reuseport():
    with listen(("127.0.0.1", 0)) as sock:
        assert sock.getblocking() is False
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0


def test_addresses_are_shown_as_urls_have_them():
    assert shown(("::1", 80)) == "[::1]:80"
    assert shown(("127.0.0.1", 80)) == "127.0.0.1:80"


def test_loopback_is_an_address_of_this_host_unless_one_address_is_bound():
    assert "127.0.0.1" in local_addresses()
    assert "127.0.0.1" in local_addresses("0.0.0.0")
    assert local_addresses("192.0.2.7") == {"192.0.2.7"}
