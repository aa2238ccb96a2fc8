"""The gateway: a build server whose jobs run at workers that dial in."""
