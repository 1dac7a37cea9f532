"""How a run uses Ray: sessions, the trainer, the actor pool, sweeps and jobs. No other folder imports Ray."""

import os

from raynas.own_modules import IMPORT_PATH, extend_search_path

if os.environ.get(IMPORT_PATH):  # in a worker of Ray, before it unpickles a class of the user's own
    extend_search_path()
