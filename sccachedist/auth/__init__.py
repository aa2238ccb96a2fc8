"""Who may do what: client, server and job tokens. Decisions only; it does not know how a request is answered."""
