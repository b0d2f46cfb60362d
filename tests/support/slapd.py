"""OpenLDAP's slapd from Debian's package, over a database of a test's own, with TLS."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.packages import programs
from tests.support.ports import PortBlock

PATIENCE_S = 60.0
ROOT_DN, ROOT_PASSWORD = "cn=root,dc=example", "root-password"
_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {here}/slapd.pid
argsfile {here}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
allow bind_anon_cred bind_anon_dn
TLSCACertificateFile {ca_file}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {certificate}
database mdb
suffix dc=example
rootdn "{root_dn}"
rootpw {root_password}
directory {here}/db
overlay ppolicy
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""


@dataclass
class Slapd:
    """port: ldap:// with StartTLS. secure_port: ldaps://."""

    here: Path
    port: int
    secure_port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        urls = f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.secure_port}/"
        program = programs({"slapd": "slapd"})["slapd"]
        self.process = subprocess.Popen(
            # -d: it stays in the foreground.
            [program, "-h", urls, "-f", str(self.here / "slapd.conf"), "-d", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_S
        for port in (self.port, self.secure_port):
            while not _is_open(port):
                assert self.process.poll() is None, f"slapd ended with {self.process.returncode}"
                assert time.monotonic() < deadline, "slapd does not listen"
                time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
            self.process = None


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running_slapd(here: Path, ldif: str, ca_file: str, certificate: str) -> Iterator[Slapd]:
    """Raises ToolsMissing. ldif: what it holds. certificate: PEM with its key."""
    slapadd = programs({"slapd": "slapd", "slapadd": "slapd"})["slapadd"]
    (here / "db").mkdir()
    facts = {"here": here, "ca_file": ca_file, "certificate": certificate}
    (here / "slapd.conf").write_text(_CONF.format(root_dn=ROOT_DN, root_password=ROOT_PASSWORD, **facts))
    added = subprocess.run(
        [slapadd, "-f", str(here / "slapd.conf")], input=ldif.encode(), capture_output=True, timeout=PATIENCE_S
    )
    assert added.returncode == 0, added.stderr.decode()
    block = PortBlock()
    slapd = Slapd(here, block.first, block.first + 1)
    try:
        slapd.start()
        yield slapd
    finally:
        slapd.stop()
        block.release()
