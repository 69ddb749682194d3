"""Networks in the other direction: from the features of a stimulus to the brain."""
