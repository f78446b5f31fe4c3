"""WebSockets: the handshake, frames both ways, reading ahead, the heartbeat, the end."""
