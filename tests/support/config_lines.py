"""Lines of both roles' configuration files, and the files that they make where a test says nothing else."""

import base64

KEY = bytes(range(32))
KEY_TEXT = base64.urlsafe_b64encode(KEY).decode().rstrip("=")
SECRET = "hunter2-and-then-some"

ADDR = 'public_addr = "127.0.0.1:10600"\n'
INSECURE = '{ type = "DANGEROUSLY_INSECURE" }'
SERVER_AUTH = f"server_auth = {INSECURE}\n"
CLIENT_AUTH = f"client_auth = {INSECURE}\n"
SCHEDULER = ADDR + CLIENT_AUTH + SERVER_AUTH

CACHE = 'cache_dir = "/tmp/toolchains"\n'
HERE = 'public_addr = "192.168.1.1:10501"\n'
URL = 'scheduler_url = "https://192.168.1.1"\n'
BUILDER = 'builder = { type = "overlay", build_dir = "/tmp/build", bwrap_path = "/usr/bin/bwrap" }\n'
SCHEDULER_AUTH = 'scheduler_auth = { type = "jwt_token", token = "my server\'s token" }\n'
SERVER = CACHE + HERE + URL + BUILDER + SCHEDULER_AUTH
