"""How people are told: alerts and crossings, delivered to each organization's webhook."""
