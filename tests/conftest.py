"""Set before anything imports Ray: no usage statistics of it or of MLflow, no authentication, nothing of a Ray that
is there already.

The cache folder is one of the tests' own.

And Ctrl-C interrupts, here and in the processes that tests start: a script that runs the tests in the background
may have had it ignored, which children inherit.
"""

import atexit
import os
import shutil
import signal
import tempfile

signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.update(
    RAY_AUTH_MODE="disabled",
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="20",
    OMP_NUM_THREADS="1",
    XDG_CACHE_HOME=tempfile.mkdtemp(prefix="raynas-tests-cache-"),
)
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_TMPDIR"):
    os.environ.pop(name, None)
