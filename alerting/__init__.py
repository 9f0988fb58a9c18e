"""Alerts for people: runaways and crossings of budgets, delivered to each organization's webhook."""
