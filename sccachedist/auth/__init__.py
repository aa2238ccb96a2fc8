"""Who may do what: client and server tokens. It only decides; it does not know how a request is answered."""
