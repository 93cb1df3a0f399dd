"""The API of the daemon over a unix socket: messages, server and client."""
