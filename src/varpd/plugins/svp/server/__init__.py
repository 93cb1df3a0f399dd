"""`varpd-svp-server`: a small SVP server, for labs, tests, and sites without Triton.

main      the command: options, signals, following the file
service   connections: what is asked, and what is answered
logs      what has changed, kept for each host until it is removed; pure
content   the file: who is where; pure
"""
