"""What varpd costs and how fast it is, each time beside what it is compared with.

    make bench                     # all of it, in namespaces of its own
    make bench ONLY=misses,rows    # some of it

A figure alone says little, since machines differ: each benchmark measures varpd and its peer in
turn, in one run, several times, and the ratio of the two is what counts. docs/performance.md says
how to read the output.
"""
