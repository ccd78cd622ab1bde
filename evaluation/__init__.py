"""How well scores agree with people: measured through the gateway, so that what is measured is what is served."""
