# SPDX-License-Identifier: Apache-2.0
"""What the contestants of `braid bench model` that Python drives have in common: the protocol of README.md."""
import json
import sys
import time

import numpy


def serve(version, open_network):
    """open_network(manifest) gives two functions: one that runs and is timed, and one that makes arrays of its result."""
    if sys.argv[1] == "--version":
        print("version", version, flush=True)
        return
    with open(sys.argv[1], encoding="utf-8") as f:
        manifest = json.load(f)
    infer, arrays_of = open_network(manifest)

    def run():
        begin = time.perf_counter_ns()
        out = infer()
        return time.perf_counter_ns() - begin, out

    ns, results = run()
    print("first", ns, flush=True)
    for line in sys.stdin:
        if line == "run\n":
            ns, results = run()
            print("ns", ns, flush=True)
        elif line == "write\n":
            for t, value in zip(manifest["outputs"], arrays_of(results)):
                numpy.save(t["file"], value)
            print("written", flush=True)
