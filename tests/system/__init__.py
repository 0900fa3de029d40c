"""Real systemd and Slurm: a Debian root file system, booted with systemd-nspawn(1)."""
