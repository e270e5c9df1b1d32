"""The command `mlham`: parse, call, print. Every sub-command arrives through a hook."""
