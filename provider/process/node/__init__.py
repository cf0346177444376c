"""What a Node handler runs in: a small server, put beside the handler, that needs nothing but Node."""
