"""What may be said: the 25 event types, their payloads, and the rules a payload alone decides.

``registry`` is the door; one module per lane holds that lane's payloads, ``forms`` the
scalars they are made of.
"""
