"""The search plugins that come with varpd, built on nothing but the plugin API."""
