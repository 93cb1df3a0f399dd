"""The API of the daemon over a unix socket: messages, server and client.

`messages` are the types of what goes over the socket, `service` is what the daemon must be able to
do, and `routes` ties the two to paths. `server` and `openapi` are made from the routes, so neither
can know more or less than the other. `streams` are answers that come by and by. `listener`,
`access` and `connection` are about who gets in and how much he may ask for. `client` is the other
end, with `reader` for what only reads, by its `transport`.

The client is the way of short-lived commands, so neither it nor this package imports the HTTP
server: what a module needs is imported from the module that has it.
"""
