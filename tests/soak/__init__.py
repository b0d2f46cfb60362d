"""The soak: clients and faults at random on a real cluster, and whether anything was lost or answered wrong.

    python -m tests.soak --seconds 600 --seed 7

    clients.py    what clients do, and what they were told
    faults.py     what happens to nodes, processes, disks and links meanwhile
    history.py    what may be found afterwards, by what clients were told (pure)
    run.py        the phases: mix, calm, the final check of tests/support/final_check.py
    on_cluster.py on one directory and loopback;  on_network.py: on machines of a network whose links can be cut

The seed decides what is done and to whom; how it falls together is the machine's. A failure prints the seed, the
history of the objects it is about, and the log of faults.
"""
