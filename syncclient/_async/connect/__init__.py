"""Ways to a server: pools of connections, names, proxies, TLS."""
