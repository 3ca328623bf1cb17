"""The sandbox's reference bots: real processes that Interlock manages as it would manage anybody's bot.

The folder is copied to a host as the top-level package `bots`, so it imports nothing of `ops`.

Shared by every bot: `clock`, `logs`, `venue` (the port), `switch`, `audit`, `risk`, `orders`, `loop`.
Particular to the bot of seed 000 on Alpaca: `settings`, `broker`, `signals`, `metrics`, `api`, `bot_worker`.
"""
