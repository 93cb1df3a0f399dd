"""A search plugin in twenty lines: the guest 10.x.H.n has the MAC 02:42:10:x:H:n, on host H."""

from ipaddress import ip_address

from varpd import provider


class RackPlugin(provider.DynamicPlugin):
    api_version = 1
    name = "rack"
    supplies = (provider.DestinationKind.IP | provider.DestinationKind.PORT,)

    @classmethod
    def properties(cls, destination: provider.DestinationKind) -> tuple[provider.Property, ...]:
        return (provider.Property("rack/network", provider.PropertyType.IP, required=True),)

    def lookup(self, query: provider.Query) -> provider.Answer:
        if query.ethertype == 0x0806 and query.dst.is_group:
            return provider.PROXY_ARP
        if not query.dst.startswith(b"\x02\x42"):
            return provider.DROP
        network = ip_address(str(self.get_property("rack/network")))
        return provider.Target(ip=network + query.dst[4], port=4789)

    def arp(self, address: provider.IpAddress) -> provider.NeighbourAnswer:
        is_ours = address.version == 4 and address.packed[0] == 10
        return provider.MacAddress(b"\x02\x42" + address.packed) if is_ours else provider.DROP
