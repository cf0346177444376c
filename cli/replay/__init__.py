"""What ``springtide replay`` shows: a picture in the terminal, a page in a browser."""
