"""When functions sleep that are to learn it: their histories, fed from the gateways, kept, and told to who asks."""
