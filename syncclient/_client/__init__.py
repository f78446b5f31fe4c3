"""The blocking face: requests, responses, WebSockets, and the descriptions they are made from."""
