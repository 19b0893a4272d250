"""Each worker has a listening socket of its own, and all of them are dealt connections."""

import pickle
import socket
from contextlib import ExitStack, suppress

import pytest

from api.listening import EachItsOwn, check_address, claimed
from api.settings import SettingsError


def accepted(listening: socket.socket) -> int:
    count = 0
    listening.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            count += 1
    return count


def test_what_a_worker_is_given_becomes_a_socket_of_its_own_and_each_gets_a_share() -> None:
    with ExitStack() as stack:
        address = stack.enter_context(EachItsOwn.bound("127.0.0.1", 0))
        workers = [
            stack.enter_context(pickle.loads(pickle.dumps(address)))  # noqa: S301 - as a process is started
            for _ in range(2)
        ]
        for worker in workers:
            worker.listen(128)
        assert len({each.fileno() for each in (address, *workers)}) == 3
        assert {each.getsockname() for each in workers} == {address.getsockname()}
        for _ in range(60):
            stack.enter_context(socket.create_connection(address.getsockname()))
        shares = [accepted(worker) for worker in workers]
    assert sum(shares) == 60, "none waits at the one that only holds the address"
    assert min(shares) >= 10  # 30 each on average; less than 10 comes once in ten million times


def test_two_servers_are_kept_from_one_address_before_any_worker_listens() -> None:
    with EachItsOwn.bound("127.0.0.1", 0) as address:
        host, port = address.getsockname()
        with claimed(host, port):
            with pytest.raises(SettingsError, match="is in use"), claimed(host, port):
                pass
            with claimed("127.0.0.2", port):
                pass
        with claimed(host, port):
            pass


def test_an_address_that_was_taken_meanwhile_is_told_with_the_remedy() -> None:
    taken = pytest.raises(SettingsError, match="is in use: stop what listens there")
    with socket.create_server(("127.0.0.1", 0)) as other, taken:
        EachItsOwn.bound(*other.getsockname())


def test_while_workers_listen_nobody_else_is_let_in() -> None:
    with EachItsOwn.bound("127.0.0.1", 0) as address, pickle.loads(pickle.dumps(address)) as worker:  # noqa: S301 - as above
        worker.listen(1)
        with pytest.raises(SettingsError, match="is in use"):
            check_address(*address.getsockname())
