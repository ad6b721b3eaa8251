"""Parties of a plan as services: what each is started with, in files of Compose and Kubernetes."""
