"""From book to action, and how that is trained. Imports `ipc` only."""

import os

# Read when onnxruntime is imported: it would report to its maker over the network, and complain
# where it cannot keep an id of this machine.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
