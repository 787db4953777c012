"""`make chaos`: people ask while everything breaks; at the end N1 to N7 are checked.

nginx, two processes of the product, PostgreSQL, Redis, the scripted model server. The order of
faults and of what people do comes from a seed, which is printed.
"""
