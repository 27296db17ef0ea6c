"""The comparison for LlamaIndex: its subjects and its rows."""
