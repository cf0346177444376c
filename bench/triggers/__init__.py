"""Events while connector and server are killed again and again: is one lost, and how often is one run once more?"""
