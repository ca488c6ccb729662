"""Serve over HTTP: the address, the guard and the server that the page and ``edgevit serve`` share.

Starlette, uvicorn and prometheus-client come with ``edgevit[serve]`` and are imported inside the functions that use
them. ``Guard`` stands before every application; ``running.py`` starts it, in a thread or for as long as the verb lasts.
"""
