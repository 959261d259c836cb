"""Makes many small files: many_files.py FILES FOLDER… ; a hundred to a folder, alike in every FOLDER, of 1,000 bytes each.

With --edit, adds a byte to one of a hundred of them instead, in the first FOLDER.
"""

import os
import sys

arguments = sys.argv[1:]
edits = arguments[0] == "--edit"
files, roots = int(arguments[edits]), arguments[edits + 1:]
for root in roots[:1] if edits else roots:
    for number in range(0, files, 100 if edits else 1):
        folder = f"{root}/{number // 10000}/{number // 100 % 100}"
        if not edits and number % 100 == 0:
            os.makedirs(folder, exist_ok=True)
        flags = os.O_WRONLY | (os.O_APPEND if edits else os.O_CREAT)
        file = os.open(f"{folder}/file-{number}", flags, 0o644)
        os.write(file, b"x" if edits else (b"content of %012d\n" % number * 42)[:1000])
        os.close(file)
