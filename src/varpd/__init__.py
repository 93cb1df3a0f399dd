"""Control plane for VXLAN overlays on Linux. Imports nothing, so that a plugin author pays for nothing."""
