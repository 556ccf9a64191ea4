"""A browser without a person: opens a URL, and follows the redirects. Plain stdlib.

Usage: browser.py LOG URL

LOG is a named pipe; each address it opens is a line there, with the status of the answer behind it.
"""

import os
import sys
import urllib.error
import urllib.parse
import urllib.request

log, url = os.open(sys.argv[1], os.O_WRONLY), sys.argv[2]


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())
for _ in range(5):
    try:
        with opener.open(url, timeout=20) as answer:
            status, location = answer.status, None
    except urllib.error.HTTPError as error:
        status, location = error.code, error.headers.get("Location")
    os.write(log, f"{status} {url}\n".encode())
    if location is None:
        break
    url = urllib.parse.urljoin(url, location)
# A person looks at the page, whatever it says, and closes the window.
