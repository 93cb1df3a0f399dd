"""The datapath of the Linux kernel: vxlan and bridge devices by netlink, and the punt sockets."""
