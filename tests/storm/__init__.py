"""`make chaos`: people ask while everything breaks; at the end N1 to N7 are checked.

Real PostgreSQL and Redis, two processes of the product, the scripted model server. The order of
faults and of what people do comes from a seed, which is printed.
"""
