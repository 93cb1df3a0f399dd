"""nftables over nfnetlink: what a rule set is, as data, and its form on the wire.

`expressions` are the steps of a rule, `objects` the tables, chains, rules, sets and elements;
`wire` frames their messages as one batch, which the kernel takes whole or not at all; `reading`
reads what a dump tells, in the same terms, so that what is wanted and what is there can be
compared, which `content` does; `session` is the one module with a socket.

Numbers are those of linux/netfilter/nf_tables.h. In contrast to rtnetlink, numbers in attributes
are big-endian. ``nft list ruleset`` shows all that is made here, with its comments.
"""
