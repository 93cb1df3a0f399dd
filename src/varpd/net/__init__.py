"""Packet codecs: bytes to messages and back, and nothing else."""
