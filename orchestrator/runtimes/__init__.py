"""What carries calls: our own runner and the parts it shares with others, a package per vendor."""

__all__: list[str] = []
