"""The sandbox's reference bots: real processes that Interlock manages as it would manage anybody's bot.

The folder is copied to a host as the top-level package `bots`, so it imports nothing of `ops`, and is started as
`python -m bots.run <system> [service]`. All five share one loop (`trading`), one audit database (`audit`) and one
switch (`switch`); `brokers` has a door to each venue, `systems` what each bot is told (`system.py`: its variables),
shows (its surface) and does besides (`trading/habits.py`).
"""
