"""A search plugin in twenty lines: a guest's MAC address ends with the number of its host."""

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
        network = self.get_property("rack/network")
        if query.dst.is_group or network is None:
            return provider.DROP
        return provider.Target(ip=ip_address(network) + query.dst[5], port=4789)
