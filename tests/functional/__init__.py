"""Real daemons, driven by the published programs."""
