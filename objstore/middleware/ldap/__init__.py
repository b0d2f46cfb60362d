"""LDAP: users of a directory log in as those of tempauth do (ldapauth)."""
