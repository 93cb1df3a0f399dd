"""Control plane for VXLAN overlays. Imports nothing: the plugin API must stay light."""
