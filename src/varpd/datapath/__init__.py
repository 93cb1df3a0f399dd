"""The outside that carries frames: what it must be able to do, and those that can."""
