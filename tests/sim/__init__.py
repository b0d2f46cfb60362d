"""A seeded simulator: a whole cluster in one thread, with every fault there is, and the question whether it healed.

    python -m tests.sim --seeds 1..200             many runs
    python -m tests.sim --seed 17 --trace          one again, exactly, with all that happened
    python -m tests.sim --seeds 1000..3000 --jobs 2
    python -m tests.sim --mix deep --seeds 1..100  with more faults, that look for certain losses (losses.py)
    python -m tests.sim --mix accounts --seeds 1..40  with accounts that are deleted and reaped (reaped.py)
    python -m tests.sim --mix rsync --seeds 1..40     objects and databases travel by rsync (rsync.py)
    python -m tests.sim --mix policies --seeds 1..40  containers made with two policies in a split (minds.py)

What runs is objstore itself: the proxy application, the HTTP client and server with their framing, the three storage
servers with engine and brokers, SQLite, rings that are really built, every daemon with its runner. What is simulated
is the machine below it:

      clients ──▶ p0  p1                 proxies, called in process, with clocks of their own
                   │  │
             ══════╧══╧═════════════     network.py: real bytes over socket pairs; a Wire carries them late, or not,
              │     │     │     │        or cuts; one way or both; frozen processes; a request delivered twice
             n0    n1    n2    n3 …      nodes.py: object, container and account server and the daemons, each a
             │a    │a b  │a    │a        Process that can be killed between any two effects
             ════════════════════════    disk.py over tests/support/durability.py: real files; a power cut keeps what
                                         was synced, and of the rest any part

host.py is the machine: time that moves when everybody waits, green threads in place of native ones (they start late,
one at a time), one source of chance. A run is a child of its own, so that the same seed is the same run. It has four
parts:

    faults.py, clients.py   clients write, read and delete a few names while faults come and go (losses.py: more faults)
    world.heal()            everything is up, reachable, and has the same rings
    run.py                  the daemons have their rounds, of which there are at most ROUNDS_AT_MOST
    checks.py, history.py   every acknowledged write is there, newest and whole, on all its primaries and nowhere else;
                            listings are the objects, totals the sums; nothing deleted is back; and no answer on the
                            way held bytes that nobody had written

mutations.py breaks objstore on purpose: the checks have to notice.

Not simulated: time that passes while code computes, memory, sharding,
SQLite's own syncs (a commit that returned is durable), and what happens inside one native call.
"""
