"""Five answering services, emulated offline from a folder of the user's own documents."""

from .app import Record
from .documents import Chunk, Document
from .sandbox import Sandbox

__all__ = ["Chunk", "Document", "Record", "Sandbox"]
