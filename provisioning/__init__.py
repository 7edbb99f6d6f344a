"""Provisioning: modules that make, suspend and end accounts on servers, behind a small protocol.

Nothing here knows what a service may do or where it is stored: a module is told what to do, does it, and says how it
went. What is told, when, and what follows from it, the domain decides.
"""
