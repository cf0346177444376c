"""The demonstration: real load on a real function, and a timeline of what each part did about it and why."""
