"""Each row of "What it must withstand" (``doc/security``) as an attack on real daemons, of which nothing comes."""
