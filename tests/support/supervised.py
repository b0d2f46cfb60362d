"""A supervised program for the tests of runtime/supervisor.py: python -m tests.support.supervised DIR

Two web workers on one socket and a node n1 of one process. Each writes its pid where the test can see it: it answers a
connection with "<role> <node> <index> <pid> <text of DIR/setting>". DIR/broken makes plan() refuse; DIR/die makes
workers exit at start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from objstore.runtime import green
from objstore.runtime.supervisor import CannotStart, Options, Supervisor
from objstore.runtime.worker import Program, Worker


def serve(directory: Path, worker: Worker) -> None:
    setting = (directory / "setting").read_text()
    if (directory / "die").exists():
        raise SystemExit(3)
    if "wrong" in setting and worker.program.role == "store":
        raise CannotStart(["the setting is wrong", "very wrong"])
    program = worker.program

    def answer() -> None:
        (sock,) = worker.sockets.values()
        while True:
            green.wait_readable(sock.fileno())
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                continue
            connection.sendall(f"{program.role} {program.node} {program.index} {os.getpid()} {setting}".encode())
            connection.close()

    task = green.spawn(answer)
    worker.ready()
    worker.wait_for_stop()
    task.kill()


def main(directory: Path) -> int:
    web, node = ((("127.0.0.1", int(text)),) for text in (directory / "ports").read_text().split())

    def plan() -> list[Program]:
        if (directory / "broken").exists():
            raise CannotStart(["broken on purpose"])
        return [
            *(
                Program("web", "-", lambda worker: serve(directory, worker), index=index, addresses=web, origin="web")
                for index in range(2)
            ),
            Program("store", "n1", lambda worker: serve(directory, worker), addresses=node, device="d1", origin="n1"),
        ]

    def say(text: str) -> None:
        print(text, flush=True)

    supervisor = Supervisor(
        plan, Options(str(directory), run_directory=directory), say=say, on_ready=lambda: say("ready")
    )
    try:
        return supervisor.run()
    except CannotStart as error:
        for line in error.lines:
            say(line)
        return 78


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
