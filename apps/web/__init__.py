"""Serve over HTTP: the address, the guard and the server that the page, the metrics and ``edgevit serve`` share.

Starlette, uvicorn and prometheus-client come with ``edgevit[serve]`` and are imported inside the functions that use
them. ``Port`` takes an address and serves on it, in a thread or for as long as a verb lasts; ``Guard`` stands before
every application; ``Shares`` deal out between clients what there is little of.
"""
