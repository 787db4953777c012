"""Does Redis answer. A connection of its own: a pool that is busy is no Redis that is down."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from genai_app.errors import Unavailable

TIMEOUT_S = 1.0


class RedisCheck:
    """Asks the Redis at `url`; connects at the first question."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            single_connection_client=True,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        )

    async def check(self) -> None:
        """One round trip. Raises Unavailable."""
        try:
            await self._client.get("genai:none")  # as the others ask; PING needs a right of its own
        except (RedisError, OSError) as error:
            raise Unavailable(f"redis: {type(error).__name__}") from error

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()
