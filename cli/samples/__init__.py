"""Functions that ``springtide up`` deploys on its first start, as a user would: from a stack file."""
