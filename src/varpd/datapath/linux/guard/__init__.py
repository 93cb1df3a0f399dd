"""The guard: what keeps the host, the overlays and the underlay apart.

`rules` says which rules of nftables that takes, as data; `tables` keeps them in the kernel, `watch`
tells when somebody else changed a rule set, `forwarding` finds out whether another firewall drops
what guests send each other. What `varpd.datapath.linux.proofs` does before an overlay is opened,
`way` does for as long as it is open.

varpd only adds tables of its own, named `varpd`; it never changes other people's rules.
"""
