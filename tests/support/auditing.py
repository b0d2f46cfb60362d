"""One pass of the object auditor over a directory of devices, unpaced and in order."""

from objstore.core.policy import Policies, Policy
from objstore.daemon.pass_ import EVERYTHING, PassReport
from objstore.object.passes.audit import ObjectAuditor
from objstore.object.passes.audit_settings import ObjectAuditorSettings
from objstore.runtime.devices import Devices
from tests.support.objects import SECRETS

AT = 1_700_000_000.0
POLICIES = Policies([Policy(0, "gold", is_default=True), Policy(1, "tin")])
UNPACED = {"files_per_second": "0", "bytes_per_second": "0", "zero_byte_files_per_second": "1000000"}


def make_auditor(root, clock, fs=None, watchers=(), **settings):
    found, problems = ObjectAuditorSettings.from_pairs(UNPACED | settings)
    assert not problems
    devices = Devices(root, mount_check=False)
    return ObjectAuditor(found, devices, POLICIES, SECRETS, clock, fs=fs, watchers=watchers, shuffle=list.sort)


def audit(auditor, scope=EVERYTHING):
    """One whole pass: (counts added up, recon entries)."""
    total = {}
    jobs = list(auditor.jobs(scope))
    for job in jobs:
        for name, count in auditor.run(job).items():
            total[name] = total.get(name, 0) + count
    return total, auditor.finished(PassReport(AT, 1.5, len(jobs), total))
