"""Runs a command in a terminal of COLUMNS x ROWS: run_in_terminal.py COLUMNS ROWS COMMAND…

Standard input goes to the terminal's keyboard, what the terminal would show comes out of standard
output, and the exit code is the command's (128 + signal when a signal ended it).
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

columns, rows, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    try:
        os.execvp(command[0], command)
    finally:
        os._exit(127)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
watched = [terminal, 0]
while terminal in watched:
    ready, _, _ = select.select(watched, [], [])
    if 0 in ready:
        typed = os.read(0, 4096)
        if typed:
            os.write(terminal, typed)
        else:
            watched.remove(0)
    if terminal in ready:
        try:
            shown = os.read(terminal, 65536)
        except OSError:  # EIO: the last process has closed the terminal
            shown = b""
        if shown:
            os.write(1, shown)
        else:
            watched.remove(terminal)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
