"""The comparison for LangChain: its subjects and its rows."""
