"""The stages of a run and the cluster they run on. The only folder that imports Ray."""

import os

from raynas.own_modules import IMPORT_PATH, extend_search_path

if os.environ.get(IMPORT_PATH):  # in a worker of Ray, before it unpickles a class of the user's own
    extend_search_path()
