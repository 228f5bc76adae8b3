"""A local Discord: REST, gateway and files; strict about what it is asked, and with Discord's own words when it refuses.

async with DiscordStandIn() as discord:
    bot = discord.add_bot()
    guild = discord.world.guild("Works", bot)
    general = discord.world.channel(guild, "general")
    ann = discord.world.person("Ann", guild)
    discord.world.write(general, ann, "hello")
"""

from tests.standins.discord_api.server import DiscordStandIn
from tests.standins.discord_api.world import StandInBot, World

__all__ = ["DiscordStandIn", "StandInBot", "World"]
