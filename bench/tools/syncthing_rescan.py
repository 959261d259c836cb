"""Has two syncthings look at a folder, and waits until both say that they have the same: KEY HERE-URL THERE-URL"""

import json
import sys
import threading
import time
import urllib.request

key, *urls = sys.argv[1:]


def ask(url, method="GET"):
    request = urllib.request.Request(url, method=method, headers={"X-API-Key": key})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.read()


scans = [threading.Thread(target=ask, args=(f"{url}/rest/db/scan?folder=f", "POST")) for url in urls]
for scan in scans:
    scan.start()
for scan in scans:
    scan.join()
while True:
    states = [json.loads(ask(f"{url}/rest/db/status?folder=f")) for url in urls]
    if all(each["state"] == "idle" and each["needTotalItems"] == 0 for each in states):
        if len({(each["globalFiles"], each["globalBytes"], each["localBytes"]) for each in states}) == 1:
            break
    time.sleep(0.01)
