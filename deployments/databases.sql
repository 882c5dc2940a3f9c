-- Runs once, when PostgreSQL's volume is new. Prefect has a database of its own: it may be lost and begun anew.
CREATE DATABASE prefect;
