"""Keystone: tokens are asked about at an identity service (authtoken), and judged by their roles (keystoneauth)."""
