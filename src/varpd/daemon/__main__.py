"""``python -m varpd.daemon`` is the command ``varpd``."""

from varpd.daemon.main import main

main()
