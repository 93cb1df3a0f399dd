"""What an operator can set on how varpd treats an instance of a plugin."""

from msgspec import Struct


class InstanceSettings(Struct, frozen=True):
    """What an operator can set on how varpd treats an instance."""

    lookup_timeout: float = 5.0
    """Seconds that a blocking plugin may take for a plain operation that no frame waits for."""

    start_timeout: float = 30.0
    """Seconds that `start`, `reload` and each `set_property` may take."""

    preload: bool = False
    """Whether all that the plugin can enumerate is told to the engine after start and reload."""

    max_targets: int = 262_144
    """How many targets are preloaded at most: the bound of the overlay's table."""

    restart_min: float = 1.0
    """Seconds before the first restart after a panic; doubled for each that follows."""

    restart_max: float = 32.0
    """Seconds between restarts at most; who worked twice as long begins at the least again."""
