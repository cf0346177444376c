"""From a build context to code that runs here: archives, templates, what they need, and the images they become."""
