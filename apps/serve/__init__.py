"""Answer for pictures over HTTP: a folder of bundles, one engine each, described by an OpenAPI document."""
