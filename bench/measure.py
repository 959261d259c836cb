"""Runs a command and writes what it cost: measure.py [--lines] RESULT.json COMMAND…

start and end are CLOCK_MONOTONIC seconds, the same clock in every process of this machine; cpu is
user + system time of the command and of every child it waited for; peak_rss is the largest of them.
With --lines, `lines` has each line of standard output with the time at which it came.
"""

import json
import os
import signal
import sys
import time

arguments = sys.argv[1:]
stamped = arguments[0] == "--lines"
result, command = arguments[stamped], arguments[stamped + 1:]
reader, writer = os.pipe() if stamped else (None, None)
start = time.monotonic()
child = os.fork()
if child == 0:
    try:
        if stamped:
            os.dup2(writer, 1)
        os.execvp(command[0], command)
    finally:
        os._exit(127)
for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, lambda number, _: os.kill(child, number))
lines = []
if stamped:
    os.close(writer)
    for line in os.fdopen(reader):
        lines.append([time.monotonic(), line.rstrip("\n")])
        sys.stdout.write(line)
        sys.stdout.flush()
_, status, usage = os.wait4(child, 0)
end = time.monotonic()
with open(result + ".part", "w") as file:
    json.dump({
        "start": start,
        "end": end,
        "user": usage.ru_utime,
        "system": usage.ru_stime,
        "peak_rss": usage.ru_maxrss * 1024,
        "code": os.waitstatus_to_exitcode(status),
        "lines": lines,
    }, file)
os.rename(result + ".part", result)
sys.exit(0 if os.waitstatus_to_exitcode(status) == 0 else 1)
