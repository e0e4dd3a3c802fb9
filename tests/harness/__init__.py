"""Real peers, our own program and senders, for the tests in tests/ and the benchmarks.

Only Python's standard library. Everything runs in private directories, on loopback, as root, and
is ended by process id. Start with peers.Primary, peers.Sink and staffetta.Staffetta; put
netns.fresh() around what needs well-known ports or many connections.
"""
