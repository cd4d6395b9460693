"""Many clients, a real server, and kills: what of what they registered has its lineage, and what it costs them."""
