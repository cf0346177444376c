"""Virtual time for policies: what would have become of a function, under the rules that really decide."""
