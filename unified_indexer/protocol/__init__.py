"""The AT Protocol, pure: bytes in, checked values out. Nothing here does I/O or knows of asyncio or a database."""
