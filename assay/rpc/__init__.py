"""Bring-up and drain, errors <-> statuses, environment -> settings: what every program does alike, written once."""
