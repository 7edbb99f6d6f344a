"""`python -m bench.yardsticks.serve p0 8001`: a yardstick, served as the product is."""

import sys

import uvicorn

if __name__ == "__main__":
    name, port, *workers = sys.argv[1:]
    uvicorn.run(
        f"bench.yardsticks.{name}.app:app",
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        workers=int(workers[0]) if workers else 1,
    )
