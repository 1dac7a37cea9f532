"""How a run uses Ray: sessions, the trainer, the actor pool, sweeps and jobs. No other folder imports Ray."""
