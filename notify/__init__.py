"""Notification infrastructure a Python team runs itself, on Prefect."""
