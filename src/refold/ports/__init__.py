"""The ports: what the engine needs of the world, as Protocols, and the records that pass through them."""
